/* The languages of SONAR and NLLB-200, and the other names they go by. */
#ifndef LCM_LANGS_H
#define LCM_LANGS_H

#include <stdbool.h>
#include <stddef.h>

enum { LCM_SONAR_LANGS = 202 };

/* Codes such as "eng_Latn" in the order of their token ids (the order of SONAR's model card): FLORES-200's without arb_Latn
 * and min_Arab; Santali is called sat_Beng, though its script is Ol Chiki. Static storage. */
const char *const *lcm_sonar_lang_codes(void);

/* English name of a code, or NULL. */
const char *lcm_lang_name(const char *code);

/* ISO 639-1 of a code, or NULL. */
const char *lcm_lang_iso(const char *code);

/* The code that `name` stands for, or NULL. Case does not matter. A name is
 *   a code in other letters ("ENG-latn");
 *   ISO 639-1 ("en"), or 639-3 without a script ("eng", "zho": the first of its codes), also with a region ("en-GB");
 *   a macrolanguage ("ara", "nor"), or a spelling in use elsewhere ("zh-TW", "sat_Olck"). */
const char *lcm_lang_alias(const char *name);

/* The code whose English name is `name`, or begins with it up to a comma ("chinese"); NULL when none. */
const char *lcm_lang_by_name(const char *name);

#endif
