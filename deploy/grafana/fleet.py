"""The dashboard of the whole fleet."""

from panels import add, base, lines, number


def board():
    board = base("dropbp-fleet", "DropBP: fleet", "Jobs, queue, workers and the coordinator itself.")
    board = add(
        board,
        "Now",
        [
            number("Running jobs", [('sum(dropbp_jobs{state="RUNNING"})', "")]),
            number("Waiting jobs", [('sum(dropbp_jobs{state="QUEUED"})', "")]),
            number("Oldest wait", [("max(dropbp_queue_oldest_wait_seconds)", "")], "s"),
            number("Workers", [("sum(dropbp_workers_connected)", "")]),
            number("Free slots", [("sum(dropbp_slots) - sum(dropbp_slots_busy)", "")]),
            number("Tokens a second", [("cluster:dropbp_tokens:rate5m", "")]),
        ],
    )
    board = add(
        board,
        "Jobs",
        [
            lines(
                "Jobs by state",
                [('sum by (state) (dropbp_jobs{state!~"SUCCEEDED|FAILED|CANCELLED"})', "{{state}}")],
                stacked=True,
            ),
            lines(
                "Jobs ended in an hour",
                [("sum by (state) (increase(dropbp_jobs_ended_total[1h]))", "{{state}}")],
            ),
            lines(
                "Gangs rebuilt in an hour",
                [("sum by (charged) (increase(dropbp_restarts_total[1h]))", "charged: {{charged}}")],
            ),
            lines(
                "Time in the queue",
                [
                    ("cluster:dropbp_queue_wait_seconds:p90_1h", "90 % of the last hour"),
                    ("max(dropbp_queue_oldest_wait_seconds)", "oldest waiting"),
                ],
                "s",
            ),
            lines(
                "Start of an attempt",
                [
                    (
                        "histogram_quantile(0.9, sum by (le) (rate(dropbp_attempt_start_seconds_bucket[1h])))",
                        "90 %",
                    )
                ],
                "s",
            ),
            lines(
                "Steps a second",
                [
                    ("cluster:dropbp_steps:rate5m", "steps"),
                    ("sum(rate(dropbp_non_finite_steps_total[5m]))", "not finite"),
                ],
                "ops",
            ),
            lines("Loss", [("max by (job_id) (dropbp_job_loss)", "{{job_id}}")], minimum=None),
            lines(
                "Progress",
                [("max by (job_id) (dropbp_job_step) / max by (job_id) (dropbp_job_steps)", "{{job_id}}")],
                "percentunit",
            ),
            lines(
                "Realised drop rate",
                [("job_id:dropbp_job_realised_drop_rate:ratio5m", "{{job_id}}")],
                "percentunit",
            ),
        ],
    )
    board = add(
        board,
        "Workers and slots",
        [
            lines("Slots in use", [("kind:dropbp_slots_busy:ratio", "{{kind}}")], "percentunit"),
            lines(
                "Workers",
                [
                    ("sum(dropbp_workers_connected)", "connected"),
                    ("sum(dropbp_workers_known)", "known"),
                    ("sum(increase(dropbp_workers_lost_total[15m]))", "lost in 15 min"),
                ],
            ),
            lines(
                "Silence of a worker",
                [("time() - max by (worker) (dropbp_worker_last_seen_timestamp_seconds)", "{{worker}}")],
                "s",
            ),
        ],
    )
    return add(
        board,
        "Coordinator",
        [
            lines("RPCs a second", [("sum by (method) (rate(dropbp_rpc_total[5m]))", "{{method}}")], "reqps"),
            lines("Failed RPCs", [("cluster:dropbp_rpc_errors:ratio5m", "failed")], "percentunit"),
            lines("RPC time, 99 %", [("method:dropbp_rpc_duration_seconds:p99_5m", "{{method}}")], "s"),
            lines(
                "Commit of the job store",
                [
                    ("cluster:dropbp_store_commit_duration_seconds:p99_5m", "99 %"),
                    (
                        "sum(rate(dropbp_store_commit_duration_seconds_sum[5m]))"
                        " / sum(rate(dropbp_store_commit_duration_seconds_count[5m]))",
                        "mean",
                    ),
                ],
                "s",
            ),
            lines(
                "Commits a second",
                [
                    ("sum(rate(dropbp_store_commit_duration_seconds_count[5m]))", "commits"),
                    ("sum(rate(dropbp_store_failures_total[5m]))", "failures"),
                ],
                "ops",
            ),
            lines(
                "Scheduling round",
                [
                    (
                        "sum(rate(dropbp_schedule_duration_seconds_sum[5m]))"
                        " / sum(rate(dropbp_schedule_duration_seconds_count[5m]))",
                        "mean",
                    )
                ],
                "s",
            ),
            lines(
                "Free disk", [("instance:dropbp_disk_free:ratio", "{{instance}} {{folder}}")], "percentunit"
            ),
            lines(
                "Memory",
                [("process_resident_memory_bytes and on (instance) dropbp_build_info", "{{instance}}")],
                "bytes",
            ),
            lines(
                "Processor",
                [("rate(process_cpu_seconds_total[5m]) and on (instance) dropbp_build_info", "{{instance}}")],
            ),
        ],
    )
