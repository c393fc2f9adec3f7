#include "text/abbrev.h"

#include <ctype.h>
#include <string.h>

/* Each list is one string of words with a space before and after every word: a word is listed if
 * " word " occurs in it; NULL is an empty list. The lists are short, so a search costs less than the ICU
 * break before it. */
struct lcm_lang {
    const char *code, *code3, *locale;
    const char *join, *number, *end, *maybe;
    const char *starter;
    const char *linker, *speech, *after_number, *before_ordinal, *pronoun;
};

/* clang-format off */
/* Foreign names keep their titles; asked last, so that a language can say otherwise. */
static const char any_join[] = " Mr Mrs Ms Dr Prof St vs v ";

static const char en_join[] =
    " Dr Drs Mr Mrs Ms Messrs Mx Mme Mlle Prof Profs Rev Revd Fr Hon Pres Gov Sen Rep Amb Supt Insp Det"
    " Capt Cpt Cmdr Cdr Col Gen Lt Sgt Maj Cpl Pvt Adm Brig Pfc Ens Mt Mts Ft DR MR MRS MS PROF e.g i.e"
    " eg ie cf viz vs v.s Vs ed eds trans esp incl approx resp ca Assn Sens Reps Govs v ";
static const char en_number[] =
    " No no Nos nos Nr nr p pp P Fig fig Figs figs Vol vol Vols vols Ch ch Chap chap Sec sec Sect sect Art"
    " art Eq eq Eqs eqs Ex ex Par par Para para Pt pt Bk bk Op op Tab tab Ref ref refs Lev Matt Rom Cor Jan"
    " Feb Mar Apr Jun Jul Aug Sep Sept Oct Nov Dec Mon Tue Tues Wed Thu Thur Thurs Fri Sat Sun c ";
static const char en_end[] = " a.m p.m A.M P.M ";
static const char en_maybe[] =
    " Jr Sr Esq St Sts Ste Ave Blvd Rd Ln Hwy Pl Sq Inc Ltd Co Cos Corp Bhd Plc Cie LLC Ph.D PhD B.Sc M.Sc"
    " D.Phil al Calif Mass Conn Penn Fla Ariz Colo Bros Kan Ky Md Mich Minn Okla Ore Tenn Vt Wis Wyo Dept"
    " dept Univ univ ";
static const char en_starter[] =
    " The A An He She It They We You I This That These Those There Then But And Or So When While After"
    " Before His Her Their My Our Its Your In On At As If For From With What Why Where Who How Which Once"
    " One Some All Both Each Every Many Most No Not Now Later Finally Suddenly However Soon Here To By Until"
    " Since Because Although Though Even Just Let Please Yes Oh Is Are Was Were Do Does Did Can Could Will"
    " Would Perhaps Maybe Sometimes Next Today Yesterday Tomorrow Meanwhile Instead Everyone Someone Nobody"
    " People ";
static const char en_linker[] =
    " Then But And So Or Yet When While After Before Once As If Because Since Now Later Finally Suddenly"
    " Instead Soon Next Just At In On What Why How Who Where Meanwhile However ";
static const char en_speech[] =
    " said says asked asks cried cries replied replies shouted shouts yelled answered exclaimed whispered"
    " screamed screams yells answers exclaims whispers begged sobbed squeaked roared growled added"
    " explained ";

static const char en_zone[] = " Eastern Central Mountain Pacific ET CT MT PT EST EDT CST CDT MST MDT PST PDT GMT BST UTC ";

static const char de_join[] =
    " Dr Prof Hr Hrn Fr Frl Dipl Ing Mag St Sr z.B z.b d.h d.i u.a i.d.R s.o s.u vgl Vgl bzw ca sog evtl ggf"
    " inkl exkl insb bes gem lt geb gest ehem verh Bd Hrsg hrsg Übers röm griech lat dt engl frz Univ Tel ";
static const char de_number[] =
    " Nr Nrn S Bd Abb Art Abs Kap Tab Ziff Anm Jan Feb Mär Apr Jun Jul Aug Sep Sept Okt Nov Dez ";
static const char de_maybe[] =
    " usw etc u.s.w u.v.m o.ä o.Ä u.Ä u.ä a.D n.Chr v.Chr Chr Jh Co Inc jr sen Jr Sen Str ";
static const char de_starter[] =
    " Der Die Das Den Dem Ein Eine Einen Einem Er Sie Es Wir Ihr Ich Du Man Dann Da Und Aber Oder Doch Denn"
    " So Als Wenn Weil Nach Vor In Im Am Auf An Aus Bei Mit Von Zu Für Nun Jetzt Hier Dort Heute Gestern"
    " Später Plötzlich Danach Schließlich Dieser Diese Dieses Jeder Jede Alle Viele Seine Sein Ihre Mein"
    " Meine Wer Was Wo Wie Warum ";
static const char de_after[] =
    " Januar Jänner Februar Feber März April Mai Juni Juli August September Oktober November Dezember"
    " Jan Feb Mär Apr Jun Jul Aug Sep Sept Okt Nov Dez Jahrhundert Jahrhunderts Jahrhunderte Jh"
    " Jahrtausend Klasse Stock Platz Mal Weltkrieg Weltkriegs Weltkrieges Kapitel Geburtstag Advent Tag"
    " Auflage Liga Lebensjahr Runde Teil Reihe Minute Jahrestag Spieltag ";

static const char de_article[] =
    " der die das den dem des am im zum zur vom beim ein eine einen einem einer eines ihr ihre ihren ihrem ihrer"
    " sein seine seinen seinem seiner mein meine meinen meinem meiner jeder jede jeden jedem und bis ";

static const char fr_join[] =
    " M MM Mme Mmes Mlle Mlles Mgr Dr Drs Pr Prof Me St Ste Cdt Col Gal Lt Cap p.ex c.-à-d c.à.d cf Cf env"
    " éd vs av apr hab dép ";
static const char fr_number[] =
    " p pp P no No n art Art chap Chap vol Vol fig Fig t T coll janv févr avr juil sept oct nov déc ";
static const char fr_maybe[] = " etc J.-C Cie Sté S.A S.A.R.L ";
static const char fr_starter[] =
    " Le La Les Un Une Des Il Elle Ils Elles On Nous Vous Je Tu Ce Cette Ces Cet Mais Et Ou Donc Car Puis"
    " Alors Quand Lorsque Si Dans Sur Sous Avec Pour Par En Au Aux De Du Son Sa Ses Leur Leurs Mon Ma Mes"
    " Notre Votre Qui Que Quoi Comment Pourquoi Où Enfin Ensuite Soudain Après Avant Tout Tous ";

static const char es_join[] =
    " Sr Sra Sres Sras Srta Dr Dra Dres Prof Profa D Dña Da Ud Uds Vd Vds Lic Ing Arq Gral Cnel Cap Tte"
    " Sto Sta Fr Mons p.ej p.e ej aprox cf vs Av Avda admón tel Tel prov sr sra sres dr dra prof ";
static const char es_number[] = " p pp pág págs Pág núm Núm núms n No art Art cap vol Vol fig Fig ";
static const char es_maybe[] = " etc a.C d.C EE.UU EE S.A S.L Cía Cia Inc UU ";
static const char es_starter[] =
    " El La Los Las Un Una Unos Unas Él Ella Ellos Ellas Yo Tú Nosotros Usted Esto Este Esta Estos Estas Ese"
    " Esa Eso Pero Y O Entonces Cuando Si En Con Por Para De Desde Hasta Su Sus Mi Mis Tu Tus Qué Quién Cómo"
    " Dónde Luego Después Antes Ahora Hoy Ayer Así Todo Todos No Sí ";

static const char it_join[] =
    " Sig Sigg Sig.ra Sig.na Sig.ri Dott Dott.ssa Dr Prof Prof.ssa Ing Avv Arch Geom Rag On Sen Gen Col"
    " Cap Ten Mons Fra S SS Egr Gent.mo Spett es Es p.es ecc.ecc cfr Cfr ca tel Tel prof dott sig dr avv"
    " ing ";
static const char it_number[] =
    " p pp pag pagg n nn N art artt Art cap vol Vol fig Fig sec gen feb mar apr mag giu lug ago set ott nov"
    " dic ";
static const char it_maybe[] = " ecc etc a.C d.C S.p.A S.r.l Inc ";
static const char it_starter[] =
    " Il Lo La I Gli Le Un Uno Una Egli Lui Lei Loro Essi Noi Voi Io Tu Questo Questa Questi Queste Quello"
    " Quella Ma E Ed O Poi Allora Quando Se In Con Per Da Di Del Della Nel Nella Su Sul Suo Sua Suoi Mio Mia"
    " Che Chi Come Dove Perché Dopo Prima Ora Oggi Ieri Così Tutti Tutto Non Sì ";

static const char pt_join[] =
    " Sr Sra Srs Sras Srta Dr Dra Drs Prof Profa Profª D Dom Exmo Exma Ilmo Eng Arq Gen Cel Cap Ten Pe"
    " Fr Sto Sta p.ex ex Ex cf vs aprox Av R tel Tel sr sra srs sras dr dra prof Rev ";
static const char pt_number[] =
    " p pp pág págs n no nº art Art cap vol Vol fig Fig jan fev mar abr mai jun jul ago set out nov dez ";
static const char pt_maybe[] = " etc a.C d.C S.A Ltda Cia Inc ";
static const char pt_starter[] =
    " O A Os As Um Uma Uns Umas Ele Ela Eles Elas Eu Tu Você Vocês Nós Isto Este Esta Isso Esse Essa Mas E"
    " Ou Então Quando Se Em No Na Nos Nas Com Por Para De Do Da Desde Até Seu Sua Seus Suas Meu Minha Que"
    " Quem Como Onde Depois Antes Agora Hoje Ontem Assim Todos Tudo Não Sim ";

/* clang-format on */

static const lcm_lang langs[] = {
    {.code = "en",
     .code3 = "eng",
     .locale = "en",
     .join = en_join,
     .number = en_number,
     .end = en_end,
     .maybe = en_maybe,
     .starter = en_starter,
     .linker = en_linker,
     .speech = en_speech,
     .after_number = en_zone,
     .pronoun = " I "},
    {.code = "de",
     .code3 = "deu",
     .locale = "en",
     .join = de_join,
     .number = de_number,
     .maybe = de_maybe,
     .starter = de_starter,
     .after_number = de_after,
     .before_ordinal = de_article},
    {.code = "fr",
     .code3 = "fra",
     .locale = "en",
     .join = fr_join,
     .number = fr_number,
     .maybe = fr_maybe,
     .starter = fr_starter},
    {.code = "es",
     .code3 = "spa",
     .locale = "en",
     .join = es_join,
     .number = es_number,
     .maybe = es_maybe,
     .starter = es_starter},
    {.code = "it",
     .code3 = "ita",
     .locale = "en",
     .join = it_join,
     .number = it_number,
     .maybe = it_maybe,
     .starter = it_starter},
    {.code = "pt",
     .code3 = "por",
     .locale = "en",
     .join = pt_join,
     .number = pt_number,
     .maybe = pt_maybe,
     .starter = pt_starter},
    /* Greek writes its question mark like a semicolon; only ICU's "el" rules know. */
    {.code = "el", .code3 = "ell", .locale = "el"},
};
static const lcm_lang other = {.code = "", .code3 = "", .locale = "en"};

const lcm_lang *lcm_lang_find(const char *code) {
    char low[4] = {0};
    size_t n = 0;
    while (n < 3 && isascii((unsigned char)code[n]) && isalpha((unsigned char)code[n])) {
        low[n] = (char)tolower((unsigned char)code[n]);
        n++;
    }
    if (n < 2 || (code[n] != 0 && code[n] != '-' && code[n] != '_')) return NULL;
    for (size_t i = 0; i < sizeof langs / sizeof *langs; i++) {
        if (strcmp(low, langs[i].code) == 0 || strcmp(low, langs[i].code3) == 0) return &langs[i];
    }
    return &other;
}

const char *lcm_lang_locale(const lcm_lang *l) { return l->locale; }

bool lcm_lang_semicolon_asks(const lcm_lang *l) { return strcmp(l->code, "el") == 0; }

bool lcm_lang_has_lists(const lcm_lang *l) { return l->join != NULL; }

bool lcm_lang_is_opening_quote(const lcm_lang *l, unsigned c) {
    if (strcmp(l->code, "de") == 0) return c == 0xBB; /* »so«, „so“ */
    return c == 0xAB || c == 0x2018 || c == 0x201C;
}

enum { WORD_MAX = 24 }; /* bytes; longer than any listed word */

static bool listed(const char *list, const char *word, size_t len) {
    char key[WORD_MAX + 3];
    if (list == NULL || len == 0 || len > WORD_MAX || memchr(word, ' ', len) != NULL ||
        memchr(word, 0, len) != NULL)
        return false;
    key[0] = ' ';
    memcpy(key + 1, word, len);
    key[len + 1] = ' ';
    key[len + 2] = 0;
    return strstr(list, key) != NULL;
}

lcm_abbrev_kind lcm_lang_abbrev(const lcm_lang *l, const char *word, size_t len) {
    if (listed(l->join, word, len)) return LCM_ABBREV_JOIN;
    if (listed(l->end, word, len)) return LCM_ABBREV_END;
    if (listed(l->maybe, word, len)) return LCM_ABBREV_MAYBE;
    if (listed(l->number, word, len)) return LCM_ABBREV_NUMBER;
    return listed(any_join, word, len) ? LCM_ABBREV_JOIN : LCM_ABBREV_NONE;
}

bool lcm_lang_is_starter(const lcm_lang *l, const char *w, size_t n) { return listed(l->starter, w, n); }
bool lcm_lang_is_linker(const lcm_lang *l, const char *w, size_t n) { return listed(l->linker, w, n); }
bool lcm_lang_is_speech_verb(const lcm_lang *l, const char *w, size_t n) { return listed(l->speech, w, n); }
bool lcm_lang_is_after_number(const lcm_lang *l, const char *w, size_t n) {
    return listed(l->after_number, w, n);
}
bool lcm_lang_is_before_ordinal(const lcm_lang *l, const char *w, size_t n) {
    return listed(l->before_ordinal, w, n);
}
bool lcm_lang_is_pronoun(const lcm_lang *l, const char *w, size_t n) { return listed(l->pronoun, w, n); }
