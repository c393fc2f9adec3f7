/* include/lcm/language.h */
#include "lcm/language.h"

#include "token/langs.h"

const char *lcm_language_name(const char *code) { return lcm_lang_name(code); }
const char *lcm_language_iso(const char *code) { return lcm_lang_iso(code); }
const char *lcm_language_code(const char *alias) { return lcm_lang_alias(alias); }
