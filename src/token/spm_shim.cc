// libsentencepiece behind a C face; see spm_shim.h.
#include <sentencepiece_processor.h>
#include <sentencepiece_trainer.h>

#include <exception>
#include <memory>
#include <mutex>
#include <new>
#include <string>
#include <unordered_map>
#include <vector>

extern "C" {
#include "token/spm_shim.h"
}

namespace sentencepiece {
namespace logging {
void SetMinLogLevel(int v);  // exported by the library, declared in none of its installed headers
}
}  // namespace sentencepiece

struct lcm_spm {
    sentencepiece::SentencePieceProcessor lib;
};

namespace {

constexpr int kFatalOnly = 3;  // the library logs to stderr at levels 0 to 3

void silence() {
    static std::once_flag once;
    std::call_once(once, [] { sentencepiece::logging::SetMinLogLevel(kFatalOnly); });
}

// Runs `body`, which returns an lcm_status, and turns what it throws into one.
template <typename F>
lcm_status guard(lcm_ctx *ctx, const char *what, F body) {
    try {
        return body();
    } catch (const std::bad_alloc &) {
        return lcm_fail(ctx, LCM_ERR_NOMEM, "out of memory: %s", what);
    } catch (const std::exception &e) {
        return lcm_fail(ctx, LCM_ERR_INTERNAL, "%s: %s", what, e.what());
    } catch (...) {
        return lcm_fail(ctx, LCM_ERR_INTERNAL, "%s: unknown exception", what);
    }
}

// The library's messages start with "Internal: file.cc(123) [condition] "; what follows is for people.
const char *reason(const sentencepiece::util::Status &status, std::string *keep) {
    *keep = status.error_message();
    const size_t bracket = keep->rfind("] ");
    if (bracket != std::string::npos && bracket + 2 < keep->size()) keep->erase(0, bracket + 2);
    return keep->c_str();
}

class Sentences : public sentencepiece::SentenceIterator {
  public:
    Sentences(const lcm_sentence *items, size_t n) : items_(items), n_(n) { load(); }
    bool done() const override { return at_ >= n_; }
    void Next() override { at_++, load(); }
    const std::string &value() const override { return value_; }
    sentencepiece::util::Status status() const override { return {}; }

  private:
    void load() {
        if (at_ < n_) value_.assign(items_[at_].text, items_[at_].len);
    }
    const lcm_sentence *items_;
    size_t n_, at_ = 0;
    std::string value_;
};

int byte_of(const std::string &piece) { return std::stoi(piece.substr(1, 4), nullptr, 16); }  // "<0xE2>"

}  // namespace

lcm_status lcm_spm_load(lcm_ctx *ctx, lcm_spm **out, const void *model, size_t len) {
    *out = nullptr;
    return guard(ctx, "tokenizer", [&]() -> lcm_status {
        silence();
        auto m = std::make_unique<lcm_spm>();
        std::string keep;
        const auto status = m->lib.LoadFromSerializedProto({static_cast<const char *>(model), len});
        if (!status.ok()) return lcm_fail(ctx, LCM_ERR_FORMAT, "tokenizer: %s", reason(status, &keep));
        *out = m.release();
        return LCM_OK;
    });
}

void lcm_spm_free(lcm_spm *m) { delete m; }

const char *lcm_spm_piece(const lcm_spm *m, int raw) { return m->lib.IdToPiece(raw).c_str(); }

lcm_status lcm_spm_encode(lcm_ctx *ctx, lcm_ids *ids, lcm_buf *normal, const lcm_spm *m, const char *text,
                          size_t len) {
    return guard(ctx, "tokenizer", [&]() -> lcm_status {
        sentencepiece::ImmutableSentencePieceText spt;
        std::string keep;
        const auto status = m->lib.Encode(absl::string_view(text, len), spt.mutable_proto());
        if (!status.ok()) return lcm_fail(ctx, LCM_ERR_INTERNAL, "tokenizer: %s", reason(status, &keep));
        const size_t n = spt.pieces_size();
        for (size_t i = 0; i < n; i++) {
            const auto piece = spt.pieces(static_cast<int>(i));
            const int raw = static_cast<int>(piece.id());
            if (ids) LCM_TRY(lcm_ids_push(ctx, ids, raw));
            if (normal == nullptr) continue;
            if (m->lib.IsByte(raw)) {
                const char byte = static_cast<char>(byte_of(piece.piece()));
                LCM_TRY(lcm_buf_append(ctx, normal, &byte, 1));
            } else {
                LCM_TRY(lcm_buf_append(ctx, normal, piece.piece().data(), piece.piece().size()));
            }
        }
        return LCM_OK;
    });
}

lcm_status lcm_spm_decode(lcm_ctx *ctx, lcm_buf *out, const lcm_spm *m, const int32_t *raw, size_t n) {
    return guard(ctx, "tokenizer", [&]() -> lcm_status {
        std::string text, keep;
        const auto status = m->lib.Decode(std::vector<int>(raw, raw + n), &text);
        if (!status.ok()) return lcm_fail(ctx, LCM_ERR_INTERNAL, "tokenizer: %s", reason(status, &keep));
        return lcm_buf_append(ctx, out, text.data(), text.size());
    });
}

lcm_status lcm_spm_train(lcm_ctx *ctx, lcm_buf *model_out, const lcm_tokenizer_train_opts *opts,
                         const lcm_sentence *sentences, size_t n) {
    return guard(ctx, "tokenizer training", [&]() -> lcm_status {
        silence();
        const std::unordered_map<std::string, std::string> args = {
            {"model_type", opts->type == LCM_TOKENIZER_BPE ? "bpe" : "unigram"},
            {"vocab_size", std::to_string(opts->vocab_size)},
            {"normalization_rule_name", opts->normalization == LCM_NORM_IDENTITY ? "identity" : "nmt_nfkc"},
            {"byte_fallback", opts->byte_fallback ? "true" : "false"},
            {"character_coverage", std::to_string(opts->character_coverage)},
            {"max_sentence_length", std::to_string(opts->max_sentence_bytes)},
            {"num_threads", "2"},  // sums are split by thread: the same number everywhere, the same bytes
            {"unk_id", "0"}, {"bos_id", "1"}, {"eos_id", "2"}, {"pad_id", "-1"},
        };
        Sentences it(sentences, n);
        std::string model, keep;
        const auto status = sentencepiece::SentencePieceTrainer::Train(args, &it, &model);
        if (!status.ok()) return lcm_fail(ctx, LCM_ERR_ARG, "tokenizer training: %s", reason(status, &keep));
        return lcm_buf_append(ctx, model_out, model.data(), model.size());
    });
}
