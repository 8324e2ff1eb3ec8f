// What to change in a job whose training needs more memory than there is.
#pragma once

namespace dropbp {

inline constexpr char kMemoryAdvice[] =
    "Set training.activation_checkpointing, make training.micro_batch_size or dataset.max_length "
    "smaller or dropbp.drop_rate larger, or use method qlora.";

}  // namespace dropbp
