"""The dashboard of one worker."""

from panels import add, base, choice, lines, number


def board():
    board = base("dropbp-worker", "DropBP: one worker", "Session, trainers and devices of one worker.")
    board = board.with_variable(choice("instance", "Worker", "label_values(dropbp_worker_info, instance)"))
    of = 'instance="$instance"'
    board = add(
        board,
        "Now",
        [
            number("Worker", [(f"dropbp_worker_info{{{of}}}", "{{worker}}")], show_name=True),
            number("Connected", [(f"dropbp_worker_session_connected{{{of}}}", "")]),
            number("Slots", [(f"sum(dropbp_worker_slots{{{of}}})", "")]),
            number("Trainers", [(f"dropbp_worker_trainers_running{{{of}}}", "")]),
            number("Models", [(f"dropbp_worker_models{{{of}}}", "")]),
            number("Up for", [(f"time() - process_start_time_seconds{{{of}}}", "")], "s"),
        ],
    )
    board = add(
        board,
        "Trainers",
        [
            lines(
                "Processor cores used",
                [
                    (
                        f"rate(dropbp_worker_trainer_cpu_seconds_total{{{of}}}[1m])",
                        "slot {{slot}}: {{job_id}} rank {{rank}}",
                    )
                ],
            ),
            lines(
                "Resident memory",
                [
                    (
                        f"dropbp_worker_trainer_resident_memory_bytes{{{of}}}",
                        "slot {{slot}}: {{job_id}} rank {{rank}}",
                    )
                ],
                "bytes",
            ),
            lines(
                "Trainers that ended in an hour",
                [(f"increase(dropbp_worker_trainers_ended_total{{{of}}}[1h])", "{{how}}")],
            ),
        ],
    )
    board = add(
        board,
        "Devices",
        [
            lines(
                "Memory of the slots' devices",
                [(f"dropbp_worker_device_memory_size_bytes{{{of}}}", "slot {{slot}} {{device}}")],
                "bytes",
                12,
            ),
            lines(
                "Device memory in use",
                [(f"dropbp_worker_device_memory_used_bytes{{{of}}}", "slot {{slot}} {{device}}")],
                "bytes",
                12,
                needs_gpu=True,
            ),
            lines(
                "Utilisation",
                [(f"dropbp_worker_device_utilisation_ratio{{{of}}}", "slot {{slot}} {{device}}")],
                "percentunit",
                needs_gpu=True,
            ),
            lines(
                "Temperature",
                [(f"dropbp_worker_device_temperature_celsius{{{of}}}", "slot {{slot}} {{device}}")],
                "celsius",
                needs_gpu=True,
            ),
            lines(
                "Power",
                [(f"dropbp_worker_device_power_watts{{{of}}}", "slot {{slot}} {{device}}")],
                "watt",
                needs_gpu=True,
            ),
        ],
    )
    return add(
        board,
        "Session and node",
        [
            lines(
                "Session",
                [
                    (f"dropbp_worker_session_connected{{{of}}}", "connected"),
                    (f"increase(dropbp_worker_sessions_total{{{of}}}[15m])", "opened in 15 min"),
                ],
            ),
            lines("Backlog", [(f"dropbp_worker_backlog_bytes{{{of}}}", "bytes")], "bytes"),
            lines(
                "Given up",
                [
                    (f"increase(dropbp_worker_given_up_frames_total{{{of}}}[15m])", "messages in 15 min"),
                    (f"dropbp_worker_backlog_frames{{{of}}}", "waiting"),
                ],
            ),
            lines(
                "Memory of the node",
                [
                    (f"dropbp_worker_memory_available_bytes{{{of}}}", "available"),
                    (f"dropbp_worker_memory_size_bytes{{{of}}}", "size"),
                ],
                "bytes",
            ),
            lines(
                "Free disk of the work folder",
                [(f"instance:dropbp_disk_free:ratio{{{of}}}", "{{folder}}")],
                "percentunit",
            ),
            lines("Agent: memory", [(f"process_resident_memory_bytes{{{of}}}", "resident")], "bytes"),
        ],
    )
