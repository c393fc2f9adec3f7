/* A language model behind an OpenAI-compatible URL, such as llama.cpp's server:
 * /v1/completions and /v1/chat/completions. */
#ifndef LCM_OPENAI_H
#define LCM_OPENAI_H

#include "http_client.h"
#include "lcm/eval_run.h"

typedef struct cli_openai {
    char url[2048];
    bool chat;         /* the URL is one of chat */
    const char *model; /* "model" of requests; NULL: left out, the server serves one */
    cli_http_opts http;
} cli_openai;

/* A URL that ends in /completions is taken as it is. To any other "/completions" is added, behind "/v1"
 * unless it ends in that. False: longer than url can hold, or neither http:// nor https://. */
bool cli_openai_open(cli_openai *out, const char *url);

/* lcm_eval_complete_fn; user is a cli_openai. */
int cli_openai_complete(void *user, char **text, const lcm_eval_request *request, char *error, size_t cap);

#endif
