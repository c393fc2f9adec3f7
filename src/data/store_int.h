/* What reader and writer of the concept store share. */
#ifndef LCM_DATA_STORE_INT_H
#define LCM_DATA_STORE_INT_H

#include "data/store.h"

/* A shard's tensors, checked against each other. */
typedef struct lcm_shard_view {
    lcm_st *st;
    const lcm_st_tensor *vectors, *docs, *spans, *text, *targets; /* targets: NULL when documents are no pairs */
    int64_t n_docs, n_concepts, dim;
    const char *space, *hash; /* of the metadata; borrowed */
} lcm_shard_view;

/* Takes over `st`, also on failure. `what` names it in messages. */
lcm_status lcm_shard_view_make(lcm_ctx *ctx, lcm_shard_view *out, lcm_st *st, const char *what);
void lcm_shard_view_close(lcm_shard_view *v);

/* The report in a shard's metadata. */
lcm_status lcm_shard_view_report(lcm_ctx *ctx, lcm_store_report *out, const lcm_shard_view *v, const char *what);

/* Reads an element of an I64 tensor at any alignment. */
int64_t lcm_shard_offset(const lcm_st_tensor *t, int64_t i);

typedef struct lcm_bytes {
    const void *data;
    size_t len;
} lcm_bytes;

/* Hash over the tensors, one after the other, as 16 hex digits; targets of no pairs are 0 bytes. */
void lcm_shard_hash(char hex[17], lcm_bytes vectors, lcm_bytes docs, lcm_bytes spans, lcm_bytes text, lcm_bytes targets);

/* One line of the manifest's `shards`. */
typedef struct lcm_shard_entry {
    char file[40], hash[17];
    int64_t docs, concepts, text_bytes, bytes;
} lcm_shard_entry;

typedef struct lcm_store_manifest {
    char format[32];
    int64_t version, dim;
    char dtype[8], space[LCM_STORE_MAX_SPACE];
    bool pairs; /* documents have a source and a target */
} lcm_store_manifest;

extern const lcm_field lcm_shard_entry_fields[], lcm_store_manifest_fields[];

#define LCM_STORE_FORMAT "lcm.concept_store"

#endif
