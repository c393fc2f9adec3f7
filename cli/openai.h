/* A language model behind an OpenAI-compatible URL, such as llama.cpp's server:
 * /v1/completions and /v1/chat/completions. Given texts are scored by /v1/completions with "echo", which
 * llama-cpp-python's server and vLLM have, and llama.cpp's has not. */
#ifndef LCM_OPENAI_H
#define LCM_OPENAI_H

#include "http_client.h"
#include "lcm/eval_run.h"

typedef struct cli_openai {
    char url[2048];
    bool chat;         /* the URL is one of chat */
    const char *model; /* "model" of requests; NULL: left out, the server serves one */
    cli_http_opts http;
    char served[128];  /* what the server last said that its model is; "": nothing */
} cli_openai;

/* A URL that ends in /completions is taken as it is. To any other "/completions" is added, behind "/v1"
 * unless it ends in that. False: longer than url can hold, or neither http:// nor https://. */
bool cli_openai_open(cli_openai *out, const char *url);

/* lcm_eval_complete_fn; user is a cli_openai. */
int cli_openai_complete(void *user, char **text, const lcm_eval_request *request, char *error, size_t cap);

/* lcm_eval_scorer.score; user is a cli_openai that is no chat. One token is generated, and cut off: max_tokens 0 means
 * no limit to llama-cpp-python. */
int cli_openai_score(void *user, const char *prompt, lcm_eval_token_fn token, void *to, char *error, size_t cap);

#endif
