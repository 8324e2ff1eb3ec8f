// What the loss sees of a data set, for people.
#pragma once

#include <string>

#include "core/job/job_spec.h"
#include "worker/data/dataset.h"
#include "worker/data/tokenizer.h"

namespace dropbp::trainer {

// A sample token by token. Coloured: as running text, what carries loss in green, the rest grey,
// every other token underlined. Plain: one token a line, with its id, and "+" where it carries
// loss.
std::string PreviewSample(const data::Sample& sample, const data::Tokenizer& tokenizer,
                          bool coloured);

// Samples, tokens, the share of them that carries loss, and what was cut or left out.
std::string PreviewReport(const data::DatasetReport& report);

}  // namespace dropbp::trainer
