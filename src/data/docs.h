/* Documents out of text files: streaming, in input order, with bounded memory.
 *
 * Accepted: `.txt` (one document per line, or one per file), `.jsonl` (one object per line, the
 * text under one key, or source and target under two), each also as `.zst`; a folder stands for its
 * files of these kinds sorted by byte order of their names; "-" is standard input. A line ends at
 * LF; a CR before it and a byte order mark at the start of a file are not part of the text.
 *
 * A text of JSON is a string, or a list of strings, which are its sentences.
 *
 * Nothing is lost silently: an item that cannot be used is counted under its reason, or, with
 * `strict`, is an error that names file and line. Damage of a whole file (a cut zstd frame, a
 * read error) is always an error. */
#ifndef LCM_DATA_DOCS_H
#define LCM_DATA_DOCS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/ctx_int.h"

typedef enum lcm_docs_format {
    LCM_DOCS_AUTO = 0, /* by the file's name; standard input is text */
    LCM_DOCS_TXT,
    LCM_DOCS_JSONL
} lcm_docs_format;

/* Why an item was dropped. */
typedef enum lcm_doc_drop {
    LCM_DOC_EMPTY = 0, /* nothing but ASCII white space; of a pair: on either side */
    LCM_DOC_TOO_LONG,  /* line (or whole file) over max_doc bytes */
    LCM_DOC_BAD_UTF8,  /* not strict UTF-8, or holds U+0000 */
    LCM_DOC_BAD_JSON,  /* not one JSON object */
    LCM_DOC_BAD_ESCAPE, /* JSON, but for an escape that is no character: "\ud800" without its other half, "\u0000" */
    LCM_DOC_NO_TEXT,   /* a key is missing or its value is neither a string nor a list of strings; a language: no string */
    LCM_DOC_N_DROPS
} lcm_doc_drop;

typedef struct lcm_docs_opts {
    lcm_docs_format format; /* of named files and standard input; folders go by file name */
    const char *key;        /* JSONL key of the text, or of the target; NULL = "text" */
    const char *source_key; /* of the source: documents are pairs, and all input is JSONL; NULL = no pairs */
    const char *lang_key, *source_lang_key; /* of their languages; NULL = not read */
    size_t max_doc;         /* bytes of a line, or of a whole file; 0 = 16 MiB */
    bool whole_file;        /* `.txt`: one document per file; lines of a paragraph are joined by a
                               space, paragraphs (parted by blank lines) by an empty line */
    bool strict;            /* the first bad item is an error */
} lcm_docs_opts;

typedef struct lcm_docs_report {
    int64_t files, skipped_files;     /* skipped: entries of a folder that are no text file by name */
    int64_t lines;                    /* read, of all kinds */
    int64_t docs, bytes;              /* delivered */
    int64_t blank_lines;              /* parted documents; never an error */
    int64_t dropped[LCM_DOC_N_DROPS]; /* items, by reason */
    char first[LCM_DOC_N_DROPS][256]; /* the first of each, "FILE:LINE: what is wrong with it" */
} lcm_docs_report;

/* Texts are valid UTF-8 without U+0000 and NUL-terminated. `lines`: each line is a sentence, for the
 * text was a list (line breaks inside a sentence became spaces). */
typedef struct lcm_doc {
    const char *text; /* of a pair: the target; NULL at the end */
    size_t len;
    bool lines, source_lines;
    const char *source; /* of a pair; else NULL */
    size_t source_len;
    const char *lang, *source_lang; /* as the file has them; NULL unless asked for */
    const char *path;
    int64_t line; /* from 1; of a whole file: 1 */
} lcm_doc;

typedef struct lcm_docs lcm_docs;

/* Resolves folders and checks that every input exists. Options and paths are copied.
 * LCM_ERR_NOTFOUND; LCM_ERR_ARG for a file whose kind its name does not tell, or that holds no pairs
 * when pairs are asked for. */
lcm_status lcm_docs_open(lcm_ctx *ctx, lcm_docs **out, const char *const *inputs, size_t n, const lcm_docs_opts *opts);
void lcm_docs_close(lcm_docs *d); /* NULL is allowed */

/* Next document, borrowed until the next call; out->text is NULL at the end.
 * LCM_ERR_IO, LCM_ERR_FORMAT; strict: also LCM_ERR_UTF8 and LCM_ERR_LIMIT. */
lcm_status lcm_docs_next(lcm_ctx *ctx, lcm_doc *out, lcm_docs *d);

const lcm_docs_report *lcm_docs_get_report(const lcm_docs *d); /* of what was read so far; borrowed */

/* "empty", "too_long", "bad_utf8", "bad_json", "bad_escape", "no_text". */
const char *lcm_doc_drop_name(lcm_doc_drop reason);
/* The same for people: "not UTF-8". */
const char *lcm_doc_drop_text(lcm_doc_drop reason);

/* Logs what was dropped, a line per reason with its number and the first item, as a warning. */
void lcm_docs_log_drops(lcm_ctx *ctx, const lcm_docs_report *r);

/* The files behind the inputs: path (borrowed) and size on disk, -1 when it is no regular file. */
size_t lcm_docs_n_files(const lcm_docs *d);
const char *lcm_docs_file(const lcm_docs *d, size_t i, int64_t *bytes);

/* Bytes read from disk so far, and of all files (-1 when one is a pipe). */
void lcm_docs_progress(const lcm_docs *d, int64_t *done, int64_t *total);

#endif
