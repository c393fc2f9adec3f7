/* Status codes of every fallible call.
 *
 * The code is the truth; one line of detail, naming the offending value and the limit, is
 * kept in the context that the call was given (lcm_ctx_message). */
#ifndef LCM_STATUS_H
#define LCM_STATUS_H

#ifdef __cplusplus
extern "C" {
#endif

#define LCM_API __attribute__((visibility("default")))

typedef enum lcm_status {
    LCM_OK = 0,
    LCM_ERR_ARG = -1,          /* an argument or option is out of its documented range */
    LCM_ERR_NOMEM = -2,        /* allocation failed, or an estimate exceeds the memory limit */
    LCM_ERR_IO = -3,           /* the operating system refused a file operation */
    LCM_ERR_FORMAT = -4,       /* a file's bytes are not what its format requires */
    LCM_ERR_VERSION = -5,      /* a valid file of a version that this build cannot read */
    LCM_ERR_NOTFOUND = -6,     /* a named file, tensor or key does not exist */
    LCM_ERR_SHAPE = -7,        /* a tensor or configuration has inconsistent sizes */
    LCM_ERR_UTF8 = -8,         /* text is not valid UTF-8 */
    LCM_ERR_LIMIT = -9,        /* input exceeds a documented limit */
    LCM_ERR_NUMERIC = -10,     /* a non-finite value where a finite one is required */
    LCM_ERR_CANCELLED = -11,   /* the caller's callback or a signal asked to stop */
    LCM_ERR_UNSUPPORTED = -12, /* valid, but not implemented by this build */
    LCM_ERR_BUSY = -13,        /* somebody else holds the lock */
    LCM_ERR_INTERNAL = -14     /* a broken invariant of this library: please report */
} lcm_status;

/* Short English name of a code, e.g. "format"; static storage; "unknown" for other values. */
LCM_API const char *lcm_status_name(lcm_status code);

#ifdef __cplusplus
}
#endif
#endif
