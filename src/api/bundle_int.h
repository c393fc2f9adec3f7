/* What the files of src/api share about an open bundle. */
#ifndef LCM_BUNDLE_INT_H
#define LCM_BUNDLE_INT_H

#include "base/io.h"
#include "lcm/bundle.h"
#include "lcm/generate.h"
#include "llama/llama_io.h"
#include "sonar/affixes.h"
#include "sonar/beam.h"
#include "sonar/sonar_io.h"

/* bundle.json. */
typedef struct lcm_bundle_config {
    int64_t format;
    char sonar[256], lcm[256], decoder[256], llama[256], end_of_text[1024], lang[64];
    bool own_end; /* bundle.json names end_of_text; else the model's own counts */
    lcm_generation generate;
} lcm_bundle_config;

struct lcm_bundle {
    lcm_bundle_config config;
    lcm_bundle_paths paths; /* sonar "": a llama is at lcm */
    int parts; /* loaded */
    lcm_sonar_file sonar, voice; /* voice: the decoder of the bundle's own, its net NULL without */
    lcm_model *model; /* NULL when not loaded */
    lcm_llama_file llama; /* its model is NULL when this is no llama */
    lcm_affix_texts prompt; /* of an instruction-tuned model, else empty but for end_of_text */
    lcm_affixes affixes;
    const real *end; /* (D) end-of-text concept, in affixes; NULL without */
    lcm_bundle_info info;
};

enum { LCM_BUNDLE_FORMAT = 1, LCM_MAX_BEAM = 64 };

lcm_generation lcm_generation_default(void);
/* `g` was checked. */
lcm_generate_config lcm_generation_settings(const lcm_generation *g);
lcm_beam_opts lcm_generation_beam(const lcm_generation *g);
/* LCM_ERR_ARG names the option: what a bundle.json would refuse. */
lcm_status lcm_generation_check(lcm_ctx *ctx, const lcm_generation *g);

/* Id of a language token by name; NULL or "" = -1, the file's first. */
lcm_status lcm_bundle_lang(lcm_ctx *ctx, int32_t *id, const lcm_bundle *b, const char *lang);

#endif
