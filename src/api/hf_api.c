/* include/lcm/export.h: Hugging Face's folders. */
#include "base/io.h"
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

lcm_status lcm_import_hf(lcm_ctx *ctx, const char *dir, const char *out) {
    json_t *provenance = NULL;
    lcm_buf bytes = {0};
    lcm_llama_file f;
    lcm_status st;
    LCM_TRY(lcm_llama_import_hf(ctx, &f, dir));
    provenance = json_pack("{s:s}", "imported_from", "Hugging Face folder");
    st = provenance ? LCM_OK : lcm_fail(ctx, LCM_ERR_NOMEM, "out of memory: provenance");
    if (st == LCM_OK) st = lcm_llama_write(ctx, &bytes, f.model, NULL, f.tok, LCM_DT_F32, provenance, NULL);
    if (st == LCM_OK) st = lcm_write_file(ctx, out, bytes.data, bytes.len);
    json_decref(provenance);
    lcm_buf_free(&bytes);
    lcm_llama_file_close(&f);
    return st;
}
