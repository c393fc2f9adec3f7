/* lcm_export_hf. lcm_convert is the way back. */
#include "lcm/export.h"
#include "llama/hf.h"

lcm_status lcm_export_hf(lcm_ctx *ctx, const char *in, const char *dir, const lcm_export_opts *opts) {
    lcm_dtype dtype = opts && opts->dtype == LCM_EXPORT_F16 ? LCM_DT_F16 : LCM_DT_F32;
    lcm_llama_file f;
    lcm_status st;
    if (opts && (opts->selftest || opts->provenance))
        LCM_FAIL(ctx, LCM_ERR_ARG, "a Hugging Face folder has no place for a sample or provenance");
    LCM_TRY(lcm_llama_load(ctx, &f, in, false));
    st = lcm_llama_export_hf(ctx, &f, dir, dtype);
    lcm_llama_file_close(&f);
    return st;
}
