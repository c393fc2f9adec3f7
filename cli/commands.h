/* Every sub-command: one file cmd_NAME.c each, one row in main.c. */
#ifndef LCM_COMMANDS_H
#define LCM_COMMANDS_H

#include "cli.h"

extern const cli_command cmd_convert;
extern const cli_command cmd_curve;
extern const cli_command cmd_decode;
extern const cli_command cmd_encode;
extern const cli_command cmd_eval;
extern const cli_command cmd_export;
extern const cli_command cmd_generate;
extern const cli_command cmd_info;
extern const cli_command cmd_prepare;
extern const cli_command cmd_quantize;
extern const cli_command cmd_score;
extern const cli_command cmd_segment;
extern const cli_command cmd_selftest;
extern const cli_command cmd_tokenizer;
extern const cli_command cmd_train;
extern const cli_command cmd_translate;

#endif
