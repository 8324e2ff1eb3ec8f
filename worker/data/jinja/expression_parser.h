// Expressions of a template, with Jinja's precedence:
// a if c else b · or · and · not · comparisons, in · + - · ~ · * / // % · ** · unary - + · . [] ()
// · | and is.
#pragma once

#include "core/base/status.h"
#include "worker/data/jinja/ast.h"
#include "worker/data/jinja/token_stream.h"

namespace dropbp::data::jinja {

// Each reads one expression from the stream. INVALID_ARGUMENT with the line for what is no
// expression, for a filter or test that is not supported, and for more than 200 levels of
// operators.
absl::StatusOr<ExpressionPtr> ParseExpression(TokenStream& tokens);
// The same without `a if c else b`: what a for loop with a filter runs over.
absl::StatusOr<ExpressionPtr> ParseUnconditional(TokenStream& tokens);
// One expression, or several with commas, which are a tuple.
absl::StatusOr<ExpressionPtr> ParseTuple(TokenStream& tokens);

}  // namespace dropbp::data::jinja
