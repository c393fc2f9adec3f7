/* Continues a text, sentence by sentence.
 *
 *     cc continue_text.c $(pkg-config --cflags --libs lcm) -o continue_text
 *     ./continue_text models/stories "Tom had a red ball. He lost it." 5 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lcm/lcm.h>

/* Called for every concept as soon as its sentence is there. */
static int on_concept(void *user, const lcm_concept *c) {
    (void)user;
    if (c->end != LCM_END_NONE) return 1; /* it ends the text and is no part of it */
    printf("%s\n", c->text);
    fflush(stdout);
    return 1; /* 0 would stop */
}

int main(int argc, char **argv) {
    lcm_ctx *ctx = lcm_ctx_new();
    lcm_bundle *bundle = NULL;
    lcm_session *session = NULL;
    lcm_generation how;
    lcm_status st;
    if (argc < 3) {
        fprintf(stderr, "usage: continue_text BUNDLE TEXT [SENTENCES]\n");
        return 2;
    }
    st = lcm_bundle_open(ctx, &bundle, argv[1], LCM_LOAD_ENCODER | LCM_LOAD_DECODER | LCM_LOAD_MODEL);
    if (st == LCM_OK) st = lcm_session_new(ctx, &session, bundle);
    if (st == LCM_OK) {
        how = lcm_bundle_get_info(bundle)->generation; /* the bundle's own settings … */
        if (argc > 3) how.concepts = atoi(argv[3]);    /* … but for the length */
        st = lcm_session_generate(ctx, NULL, session, argv[2], strlen(argv[2]), &how, on_concept, NULL);
    }
    if (st != LCM_OK) fprintf(stderr, "continue_text: %s\n", lcm_ctx_message(ctx));
    lcm_session_free(session);
    lcm_bundle_close(bundle);
    lcm_ctx_free(ctx);
    return st == LCM_OK ? 0 : 1;
}
