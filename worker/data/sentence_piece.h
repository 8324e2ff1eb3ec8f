// tokenizer.model: a SentencePiece model as a tokenizer.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "core/base/status.h"
#include "worker/data/tokenizer_json.h"

namespace dropbp::data {

// Note [SentencePiece models]
// The file is a serialised sentencepiece.ModelProto. It is taken apart into the same parts as a
// tokenizer.json, and both run on the same code: pieces are the vocabulary; two pieces may merge
// where their join is a piece, the piece of highest score first; control pieces are special added
// tokens; user-defined pieces are added tokens that are looked for in the normalised text.
// Debian's libsentencepiece is not linked: it exports a copy of an older protobuf, whose symbols
// would mix with those of the libprotobuf that the same process talks gRPC with.
//
// Of <model_dir> come, where they are there: tokenizer.model itself; from tokenizer_config.json
// added_tokens_decoder, add_bos_token (true), add_eos_token (false), bos_token, eos_token, and
// legacy (true: as SentencePiece does, every text between special tokens gets the space that the
// model puts in front; false: only one at the very beginning); and added_tokens.json.

// Parts of the bytes of a tokenizer.model. INVALID_ARGUMENT names what was found and what is
// supported: models of type BPE without normalisation rules and unused pieces.
// `prefix_everywhere`: the folder's `legacy`.
absl::StatusOr<TokenizerParts> ParseSentencePieceModel(std::string_view serialized,
                                                       bool prefix_everywhere);

// Parts of the tokenizer of a folder with a tokenizer.model.
absl::StatusOr<TokenizerParts> ReadSentencePieceFolder(const std::string& model_dir,
                                                       int64_t max_file_bytes);

}  // namespace dropbp::data
