/* Languages and their names. */
#include "token/langs.h"

#include <string.h>
#include <strings.h>

#define LANGS(X) \
    X("ace_Arab", "Acehnese, Arabic script") \
    X("ace_Latn", "Acehnese, Latin script") \
    X("acm_Arab", "Mesopotamian Arabic") \
    X("acq_Arab", "Ta'izzi-Adeni Arabic") \
    X("aeb_Arab", "Tunisian Arabic") \
    X("afr_Latn", "Afrikaans") \
    X("ajp_Arab", "South Levantine Arabic") \
    X("aka_Latn", "Akan") \
    X("amh_Ethi", "Amharic") \
    X("apc_Arab", "North Levantine Arabic") \
    X("arb_Arab", "Modern Standard Arabic") \
    X("ars_Arab", "Najdi Arabic") \
    X("ary_Arab", "Moroccan Arabic") \
    X("arz_Arab", "Egyptian Arabic") \
    X("asm_Beng", "Assamese") \
    X("ast_Latn", "Asturian") \
    X("awa_Deva", "Awadhi") \
    X("ayr_Latn", "Central Aymara") \
    X("azb_Arab", "South Azerbaijani") \
    X("azj_Latn", "North Azerbaijani") \
    X("bak_Cyrl", "Bashkir") \
    X("bam_Latn", "Bambara") \
    X("ban_Latn", "Balinese") \
    X("bel_Cyrl", "Belarusian") \
    X("bem_Latn", "Bemba") \
    X("ben_Beng", "Bengali") \
    X("bho_Deva", "Bhojpuri") \
    X("bjn_Arab", "Banjar, Arabic script") \
    X("bjn_Latn", "Banjar, Latin script") \
    X("bod_Tibt", "Standard Tibetan") \
    X("bos_Latn", "Bosnian") \
    X("bug_Latn", "Buginese") \
    X("bul_Cyrl", "Bulgarian") \
    X("cat_Latn", "Catalan") \
    X("ceb_Latn", "Cebuano") \
    X("ces_Latn", "Czech") \
    X("cjk_Latn", "Chokwe") \
    X("ckb_Arab", "Central Kurdish") \
    X("crh_Latn", "Crimean Tatar") \
    X("cym_Latn", "Welsh") \
    X("dan_Latn", "Danish") \
    X("deu_Latn", "German") \
    X("dik_Latn", "Southwestern Dinka") \
    X("dyu_Latn", "Dyula") \
    X("dzo_Tibt", "Dzongkha") \
    X("ell_Grek", "Greek") \
    X("eng_Latn", "English") \
    X("epo_Latn", "Esperanto") \
    X("est_Latn", "Estonian") \
    X("eus_Latn", "Basque") \
    X("ewe_Latn", "Ewe") \
    X("fao_Latn", "Faroese") \
    X("pes_Arab", "Western Persian") \
    X("fij_Latn", "Fijian") \
    X("fin_Latn", "Finnish") \
    X("fon_Latn", "Fon") \
    X("fra_Latn", "French") \
    X("fur_Latn", "Friulian") \
    X("fuv_Latn", "Nigerian Fulfulde") \
    X("gla_Latn", "Scottish Gaelic") \
    X("gle_Latn", "Irish") \
    X("glg_Latn", "Galician") \
    X("grn_Latn", "Guarani") \
    X("guj_Gujr", "Gujarati") \
    X("hat_Latn", "Haitian Creole") \
    X("hau_Latn", "Hausa") \
    X("heb_Hebr", "Hebrew") \
    X("hin_Deva", "Hindi") \
    X("hne_Deva", "Chhattisgarhi") \
    X("hrv_Latn", "Croatian") \
    X("hun_Latn", "Hungarian") \
    X("hye_Armn", "Armenian") \
    X("ibo_Latn", "Igbo") \
    X("ilo_Latn", "Ilocano") \
    X("ind_Latn", "Indonesian") \
    X("isl_Latn", "Icelandic") \
    X("ita_Latn", "Italian") \
    X("jav_Latn", "Javanese") \
    X("jpn_Jpan", "Japanese") \
    X("kab_Latn", "Kabyle") \
    X("kac_Latn", "Jingpho") \
    X("kam_Latn", "Kamba") \
    X("kan_Knda", "Kannada") \
    X("kas_Arab", "Kashmiri, Arabic script") \
    X("kas_Deva", "Kashmiri, Devanagari") \
    X("kat_Geor", "Georgian") \
    X("knc_Arab", "Central Kanuri, Arabic script") \
    X("knc_Latn", "Central Kanuri, Latin script") \
    X("kaz_Cyrl", "Kazakh") \
    X("kbp_Latn", "Kabiye") \
    X("kea_Latn", "Kabuverdianu") \
    X("khm_Khmr", "Khmer") \
    X("kik_Latn", "Kikuyu") \
    X("kin_Latn", "Kinyarwanda") \
    X("kir_Cyrl", "Kyrgyz") \
    X("kmb_Latn", "Kimbundu") \
    X("kon_Latn", "Kikongo") \
    X("kor_Hang", "Korean") \
    X("kmr_Latn", "Northern Kurdish") \
    X("lao_Laoo", "Lao") \
    X("lvs_Latn", "Standard Latvian") \
    X("lij_Latn", "Ligurian") \
    X("lim_Latn", "Limburgish") \
    X("lin_Latn", "Lingala") \
    X("lit_Latn", "Lithuanian") \
    X("lmo_Latn", "Lombard") \
    X("ltg_Latn", "Latgalian") \
    X("ltz_Latn", "Luxembourgish") \
    X("lua_Latn", "Luba-Kasai") \
    X("lug_Latn", "Ganda") \
    X("luo_Latn", "Luo") \
    X("lus_Latn", "Mizo") \
    X("mag_Deva", "Magahi") \
    X("mai_Deva", "Maithili") \
    X("mal_Mlym", "Malayalam") \
    X("mar_Deva", "Marathi") \
    X("min_Latn", "Minangkabau") \
    X("mkd_Cyrl", "Macedonian") \
    X("plt_Latn", "Plateau Malagasy") \
    X("mlt_Latn", "Maltese") \
    X("mni_Beng", "Meitei") \
    X("khk_Cyrl", "Halh Mongolian") \
    X("mos_Latn", "Mossi") \
    X("mri_Latn", "Maori") \
    X("zsm_Latn", "Standard Malay") \
    X("mya_Mymr", "Burmese") \
    X("nld_Latn", "Dutch") \
    X("nno_Latn", "Norwegian Nynorsk") \
    X("nob_Latn", "Norwegian Bokmal") \
    X("npi_Deva", "Nepali") \
    X("nso_Latn", "Northern Sotho") \
    X("nus_Latn", "Nuer") \
    X("nya_Latn", "Nyanja") \
    X("oci_Latn", "Occitan") \
    X("gaz_Latn", "West Central Oromo") \
    X("ory_Orya", "Odia") \
    X("pag_Latn", "Pangasinan") \
    X("pan_Guru", "Eastern Panjabi") \
    X("pap_Latn", "Papiamento") \
    X("pol_Latn", "Polish") \
    X("por_Latn", "Portuguese") \
    X("prs_Arab", "Dari") \
    X("pbt_Arab", "Southern Pashto") \
    X("quy_Latn", "Ayacucho Quechua") \
    X("ron_Latn", "Romanian") \
    X("run_Latn", "Rundi") \
    X("rus_Cyrl", "Russian") \
    X("sag_Latn", "Sango") \
    X("san_Deva", "Sanskrit") \
    X("sat_Beng", "Santali") \
    X("scn_Latn", "Sicilian") \
    X("shn_Mymr", "Shan") \
    X("sin_Sinh", "Sinhala") \
    X("slk_Latn", "Slovak") \
    X("slv_Latn", "Slovenian") \
    X("smo_Latn", "Samoan") \
    X("sna_Latn", "Shona") \
    X("snd_Arab", "Sindhi") \
    X("som_Latn", "Somali") \
    X("sot_Latn", "Southern Sotho") \
    X("spa_Latn", "Spanish") \
    X("als_Latn", "Tosk Albanian") \
    X("srd_Latn", "Sardinian") \
    X("srp_Cyrl", "Serbian") \
    X("ssw_Latn", "Swati") \
    X("sun_Latn", "Sundanese") \
    X("swe_Latn", "Swedish") \
    X("swh_Latn", "Swahili") \
    X("szl_Latn", "Silesian") \
    X("tam_Taml", "Tamil") \
    X("tat_Cyrl", "Tatar") \
    X("tel_Telu", "Telugu") \
    X("tgk_Cyrl", "Tajik") \
    X("tgl_Latn", "Tagalog") \
    X("tha_Thai", "Thai") \
    X("tir_Ethi", "Tigrinya") \
    X("taq_Latn", "Tamasheq, Latin script") \
    X("taq_Tfng", "Tamasheq, Tifinagh") \
    X("tpi_Latn", "Tok Pisin") \
    X("tsn_Latn", "Tswana") \
    X("tso_Latn", "Tsonga") \
    X("tuk_Latn", "Turkmen") \
    X("tum_Latn", "Tumbuka") \
    X("tur_Latn", "Turkish") \
    X("twi_Latn", "Twi") \
    X("tzm_Tfng", "Central Atlas Tamazight") \
    X("uig_Arab", "Uyghur") \
    X("ukr_Cyrl", "Ukrainian") \
    X("umb_Latn", "Umbundu") \
    X("urd_Arab", "Urdu") \
    X("uzn_Latn", "Northern Uzbek") \
    X("vec_Latn", "Venetian") \
    X("vie_Latn", "Vietnamese") \
    X("war_Latn", "Waray") \
    X("wol_Latn", "Wolof") \
    X("xho_Latn", "Xhosa") \
    X("ydd_Hebr", "Eastern Yiddish") \
    X("yor_Latn", "Yoruba") \
    X("yue_Hant", "Yue Chinese") \
    X("zho_Hans", "Chinese, simplified") \
    X("zho_Hant", "Chinese, traditional") \
    X("zul_Latn", "Zulu")

#define CODE(code, name) code,
#define NAME(code, name) name,
static const char *const codes[] = {LANGS(CODE)};
static const char *const names[] = {LANGS(NAME)};
_Static_assert(sizeof codes / sizeof *codes == LCM_SONAR_LANGS, "one row per language");

static const struct {
    const char *alias, *code;
} aliases[] = {
    {"af", "afr_Latn"}, {"ak", "aka_Latn"}, {"am", "amh_Ethi"}, {"ar", "arb_Arab"}, {"as", "asm_Beng"},
    {"ay", "ayr_Latn"}, {"az", "azj_Latn"}, {"ba", "bak_Cyrl"}, {"be", "bel_Cyrl"}, {"bg", "bul_Cyrl"},
    {"bm", "bam_Latn"}, {"bn", "ben_Beng"}, {"bo", "bod_Tibt"}, {"bs", "bos_Latn"}, {"ca", "cat_Latn"},
    {"cs", "ces_Latn"}, {"cy", "cym_Latn"}, {"da", "dan_Latn"}, {"de", "deu_Latn"}, {"dz", "dzo_Tibt"},
    {"ee", "ewe_Latn"}, {"el", "ell_Grek"}, {"en", "eng_Latn"}, {"eo", "epo_Latn"}, {"es", "spa_Latn"},
    {"et", "est_Latn"}, {"eu", "eus_Latn"}, {"fa", "pes_Arab"}, {"ff", "fuv_Latn"}, {"fi", "fin_Latn"},
    {"fj", "fij_Latn"}, {"fo", "fao_Latn"}, {"fr", "fra_Latn"}, {"ga", "gle_Latn"}, {"gd", "gla_Latn"},
    {"gl", "glg_Latn"}, {"gn", "grn_Latn"}, {"gu", "guj_Gujr"}, {"ha", "hau_Latn"}, {"he", "heb_Hebr"},
    {"hi", "hin_Deva"}, {"hr", "hrv_Latn"}, {"ht", "hat_Latn"}, {"hu", "hun_Latn"}, {"hy", "hye_Armn"},
    {"id", "ind_Latn"}, {"ig", "ibo_Latn"}, {"is", "isl_Latn"}, {"it", "ita_Latn"}, {"iw", "heb_Hebr"},
    {"ja", "jpn_Jpan"}, {"jv", "jav_Latn"}, {"ka", "kat_Geor"}, {"kg", "kon_Latn"}, {"ki", "kik_Latn"},
    {"kk", "kaz_Cyrl"}, {"km", "khm_Khmr"}, {"kn", "kan_Knda"}, {"ko", "kor_Hang"}, {"kr", "knc_Latn"},
    {"ks", "kas_Arab"}, {"ku", "kmr_Latn"}, {"ky", "kir_Cyrl"}, {"lb", "ltz_Latn"}, {"lg", "lug_Latn"},
    {"li", "lim_Latn"}, {"ln", "lin_Latn"}, {"lo", "lao_Laoo"}, {"lt", "lit_Latn"}, {"lv", "lvs_Latn"},
    {"mg", "plt_Latn"}, {"mi", "mri_Latn"}, {"mk", "mkd_Cyrl"}, {"ml", "mal_Mlym"}, {"mn", "khk_Cyrl"},
    {"mr", "mar_Deva"}, {"ms", "zsm_Latn"}, {"mt", "mlt_Latn"}, {"my", "mya_Mymr"}, {"nb", "nob_Latn"},
    {"ne", "npi_Deva"}, {"nl", "nld_Latn"}, {"nn", "nno_Latn"}, {"no", "nob_Latn"}, {"ny", "nya_Latn"},
    {"oc", "oci_Latn"}, {"om", "gaz_Latn"}, {"or", "ory_Orya"}, {"pa", "pan_Guru"}, {"pl", "pol_Latn"},
    {"ps", "pbt_Arab"}, {"pt", "por_Latn"}, {"qu", "quy_Latn"}, {"rn", "run_Latn"}, {"ro", "ron_Latn"},
    {"ru", "rus_Cyrl"}, {"rw", "kin_Latn"}, {"sa", "san_Deva"}, {"sc", "srd_Latn"}, {"sd", "snd_Arab"},
    {"sg", "sag_Latn"}, {"si", "sin_Sinh"}, {"sk", "slk_Latn"}, {"sl", "slv_Latn"}, {"sm", "smo_Latn"},
    {"sn", "sna_Latn"}, {"so", "som_Latn"}, {"sq", "als_Latn"}, {"sr", "srp_Cyrl"}, {"ss", "ssw_Latn"},
    {"st", "sot_Latn"}, {"su", "sun_Latn"}, {"sv", "swe_Latn"}, {"sw", "swh_Latn"}, {"ta", "tam_Taml"},
    {"te", "tel_Telu"}, {"tg", "tgk_Cyrl"}, {"th", "tha_Thai"}, {"ti", "tir_Ethi"}, {"tk", "tuk_Latn"},
    {"tl", "tgl_Latn"}, {"tn", "tsn_Latn"}, {"tr", "tur_Latn"}, {"ts", "tso_Latn"}, {"tt", "tat_Cyrl"},
    {"tw", "twi_Latn"}, {"ug", "uig_Arab"}, {"uk", "ukr_Cyrl"}, {"ur", "urd_Arab"}, {"uz", "uzn_Latn"},
    {"vi", "vie_Latn"}, {"wo", "wol_Latn"}, {"xh", "xho_Latn"}, {"yi", "ydd_Hebr"}, {"yo", "yor_Latn"},
    {"zh", "zho_Hans"}, {"zu", "zul_Latn"},
    /* ISO 639-2 macrolanguages, and spellings of other tools */
    {"ara", "arb_Arab"}, {"aym", "ayr_Latn"}, {"aze", "azj_Latn"}, {"cmn", "zho_Hans"},
    {"fas", "pes_Arab"}, {"fil", "tgl_Latn"}, {"ful", "fuv_Latn"}, {"kau", "knc_Latn"},
    {"kur", "kmr_Latn"}, {"lav", "lvs_Latn"}, {"mlg", "plt_Latn"}, {"mon", "khk_Cyrl"},
    {"msa", "zsm_Latn"}, {"nep", "npi_Deva"}, {"nor", "nob_Latn"}, {"ori", "ory_Orya"},
    {"orm", "gaz_Latn"}, {"pus", "pbt_Arab"}, {"que", "quy_Latn"}, {"sat_Olck", "sat_Beng"},
    {"sqi", "als_Latn"}, {"swa", "swh_Latn"}, {"uzb", "uzn_Latn"}, {"yid", "ydd_Hebr"},
    {"zh-cn", "zho_Hans"}, {"zh-hans", "zho_Hans"}, {"zh-hant", "zho_Hant"}, {"zh-hk", "zho_Hant"},
    {"zh-mo", "zho_Hant"}, {"zh-sg", "zho_Hans"}, {"zh-tw", "zho_Hant"},
};

const char *const *lcm_sonar_lang_codes(void) { return codes; }

const char *lcm_lang_name(const char *code) {
    for (int i = 0; i < LCM_SONAR_LANGS; i++)
        if (strcmp(codes[i], code) == 0) return names[i];
    return NULL;
}

const char *lcm_lang_iso(const char *code) {
    for (size_t i = 0; i < sizeof aliases / sizeof *aliases; i++)
        if (strlen(aliases[i].alias) == 2 && strcmp(aliases[i].code, code) == 0) return aliases[i].alias;
    return NULL;
}

/* "en_GB" is "en-gb". */
static bool same(const char *alias, const char *name, size_t len) {
    for (size_t i = 0; i < len; i++) {
        char c = name[i] == '_' && strchr(alias, '-') ? '-' : name[i];
        if (alias[i] == '\0' || strncasecmp(&alias[i], &c, 1) != 0) return false;
    }
    return alias[len] == '\0';
}

static const char *lookup(const char *name, size_t len) {
    for (size_t i = 0; i < sizeof aliases / sizeof *aliases; i++)
        if (same(aliases[i].alias, name, len)) return aliases[i].code;
    for (int i = 0; len == 3 && i < LCM_SONAR_LANGS; i++)
        if (strncasecmp(codes[i], name, 3) == 0) return codes[i];
    return NULL;
}

const char *lcm_lang_alias(const char *name) {
    size_t len = strlen(name), bare = strcspn(name, "-_");
    const char *code;
    for (int k = 0; k < LCM_SONAR_LANGS; k++)
        if (len == 8 && bare == 3 && strncasecmp(codes[k], name, 3) == 0 && strcasecmp(codes[k] + 4, name + 4) == 0)
            return codes[k];
    code = lookup(name, len);
    /* A region of two letters says nothing about the language; a script does: "fra_Cyrl" is no French of these. */
    return code == NULL && len == bare + 3 ? lookup(name, bare) : code;
}

const char *lcm_lang_by_name(const char *name) {
    size_t len = strlen(name);
    for (int i = 0; len && i < LCM_SONAR_LANGS; i++)
        if (strncasecmp(names[i], name, len) == 0 && (names[i][len] == '\0' || names[i][len] == ',')) return codes[i];
    for (int i = 0; len > 3 && i < LCM_SONAR_LANGS; i++) { /* "persian" is Western Persian */
        size_t all = strlen(names[i]);
        if (all > len && names[i][all - len - 1] == ' ' && strcasecmp(names[i] + all - len, name) == 0) return codes[i];
    }
    return NULL;
}
