/* Languages of SONAR and NLLB-200 by code and name. */
#ifndef LCM_LANGUAGE_H
#define LCM_LANGUAGE_H

#include "lcm/ctx.h"

#ifdef __cplusplus
extern "C" {
#endif

/* English name of a code such as "eng_Latn", or NULL. Static storage, as all of these. */
LCM_API const char *lcm_language_name(const char *code);
/* Its two letters of ISO 639-1, or NULL. */
LCM_API const char *lcm_language_iso(const char *code);
/* The code that another name stands for, or NULL: "en", "en-GB", "eng", "zh-TW", "sat_Olck". Wherever a language is
 * asked for, these are understood, too. */
LCM_API const char *lcm_language_code(const char *alias);

#ifdef __cplusplus
}
#endif
#endif
