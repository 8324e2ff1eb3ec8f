"""The dashboard of one running job."""

from panels import add, bars, base, choice, heat, lines, number


def board():
    board = base(
        "dropbp-job", "DropBP: one job", "Training, time, and what dropping saves, of one running job."
    )
    board = board.with_variable(choice("job", "Job", "label_values(dropbp_job_info, job_id)"))
    of = 'job_id="$job"'
    board = add(
        board,
        "Now",
        [
            number("State", [(f"dropbp_job_info{{{of}}}", "{{state}}")], show_name=True),
            number("Step", [(f"dropbp_job_step{{{of}}}", "done"), (f"dropbp_job_steps{{{of}}}", "of")]),
            number("Time left", [(f"dropbp_job_eta_seconds{{{of}}}", "")], "s"),
            number("Loss", [(f"dropbp_job_loss{{{of}}}", "")]),
            number("Tokens a second", [(f"dropbp_job_tokens_per_second{{{of}}}", "")]),
            number(
                "Restarts charged",
                [
                    (f"dropbp_job_restarts_total{{{of}}}", "charged"),
                    (f"dropbp_job_max_restarts{{{of}}}", "of"),
                ],
            ),
        ],
    )
    board = add(
        board,
        "Training",
        [
            lines("Loss", [(f"dropbp_job_loss{{{of}}}", "loss")], minimum=None),
            lines(
                "Validation loss",
                [
                    (f"dropbp_job_validation_loss{{{of}}}", "loss"),
                    (f"dropbp_job_validation_perplexity{{{of}}}", "perplexity"),
                ],
                minimum=None,
            ),
            lines("Learning rate", [(f"dropbp_job_learning_rate{{{of}}}", "learning rate")], "sci"),
            lines(
                "Gradient norm",
                [
                    (f"dropbp_job_gradient_norm{{{of}}}", "before clipping"),
                    (f"increase(dropbp_job_non_finite_steps_total{{{of}}}[5m])", "steps that are not finite"),
                ],
            ),
            lines("Tokens a second", [(f"dropbp_job_tokens_per_second{{{of}}}", "tokens")]),
            lines("Progress", [(f"dropbp_job_step{{{of}}}", "step"), (f"dropbp_job_steps{{{of}}}", "of")]),
            lines(
                "Work at risk",
                [(f"dropbp_job_work_at_risk_seconds{{{of}}}", "since the newest checkpoint")],
                "s",
            ),
        ],
    )
    board = add(
        board,
        "Time",
        [
            lines(
                "Seconds of a step",
                [(f"dropbp_job_step_phase_seconds{{{of}}}", "{{phase}}")],
                "s",
                12,
                stacked=True,
            ),
            lines(
                "Compute seconds by rank",
                [(f"dropbp_job_rank_compute_seconds{{{of}}}", "rank {{rank}}")],
                "s",
                6,
                description="Without all-reduce: the slowest rank keeps the others waiting.",
            ),
            lines(
                "Slowest rank over the median",
                [(f"job_id:dropbp_job_slowest_rank:ratio{{{of}}}", "ratio")],
                "short",
                6,
            ),
            lines("Peak memory of rank 0", [(f"dropbp_job_peak_memory_bytes{{{of}}}", "peak")], "bytes", 12),
            lines(
                "Since the newest step", [(f"job_id:dropbp_job_silence:seconds{{{of}}}", "seconds")], "s", 12
            ),
        ],
    )
    board = add(
        board,
        "Dropping",
        [
            lines(
                "Drop rate",
                [
                    (f"dropbp_job_target_drop_rate_ratio{{{of}}}", "target"),
                    (f"dropbp_job_planned_drop_rate_ratio{{{of}}}", "planned"),
                    (f"job_id:dropbp_job_realised_drop_rate:ratio5m{{{of}}}", "realised, 5 min"),
                    (f"dropbp_job_realised_drop_rate_ratio{{{of}}}", "realised, attempt"),
                ],
                "percentunit",
            ),
            lines(
                "Backward FLOPs a second",
                [
                    (f"rate(dropbp_job_backward_flops_done_total{{{of}}}[5m])", "done"),
                    (f"rate(dropbp_job_backward_flops_saved_total{{{of}}}[5m])", "saved"),
                ],
                "flops",
                stacked=True,
            ),
            lines(
                "Gradient bytes a second, each rank",
                [
                    (f"rate(dropbp_job_gradient_sent_bytes_total{{{of}}}[5m])", "sent"),
                    (f"rate(dropbp_job_gradient_avoided_bytes_total{{{of}}}[5m])", "avoided"),
                ],
                "Bps",
                stacked=True,
            ),
            number("FLOPs saved", [(f"dropbp_job_backward_flops_saved_total{{{of}}}", "")], "sci", 6),
            number(
                "Gradient bytes avoided, each rank",
                [(f"dropbp_job_gradient_avoided_bytes_total{{{of}}}", "")],
                "bytes",
                6,
            ),
            number("Plan", [(f"dropbp_job_plan_version{{{of}}}", "")], "short", 4),
            number("Speed limit of the plan", [(f"dropbp_job_speed_limit_ratio{{{of}}}", "")], "short", 4),
            number("Latest probe", [(f"dropbp_job_probe_seconds{{{of}}}", "")], "s", 4),
        ],
    )
    return add(
        board,
        "Units",
        [
            heat(
                "Drop rate of each unit",
                [(f"sum by (layer, kind) (dropbp_job_unit_drop_rate_ratio{{{of}}})", "{{layer}} {{kind}}")],
                "percentunit",
            ),
            heat(
                "Sensitivity of each unit",
                [(f"sum by (layer, kind) (dropbp_job_unit_sensitivity{{{of}}})", "{{layer}} {{kind}}")],
                "sci",
            ),
            bars(
                "Drop rates now",
                [(f"dropbp_job_unit_drop_rate_ratio{{{of}}}", "{{layer}} {{kind}}")],
                "percentunit",
                maximum=1,
            ),
            bars(
                "Sensitivities now", [(f"dropbp_job_unit_sensitivity{{{of}}}", "{{layer}} {{kind}}")], "sci"
            ),
        ],
    )
