/* SPDX-License-Identifier: PostgreSQL
 * The judge: a PAM module that takes a password for a token of RDS, DSQL or Entra, and says yes or no as they would.
 *
 * In: the user's name, the password, and a file of facts (keys, hosts, roles, the time). Out: PAM's verdict, and one
 * line in a log with the reason, without the token. It shares no code with src/: SigV4 is computed again here, from the
 * token's own text and the specification. The file is read at each login; its lines are
 *
 *   now EPOCH | offset SECONDS          what time it is (without either: the real time)
 *   log PATH
 *   key ID SECRET [SESSION_TOKEN]
 *   host rds NAME:PORT REGION | host dsql NAME REGION
 *   jwtkey KID PEMFILE | aud VALUE | role USER OID
 */
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/sha.h>
#include <security/pam_ext.h>
#include <security/pam_modules.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Longer than any line of the file, and any token that PostgreSQL's 65,535-byte packet can carry. */
#define MAX_TEXT 70000
#define MAX_PARAMETERS 16
/* The service's tolerance for clocks that run ahead of its own. */
#define MAX_AHEAD 300

struct judge {
  const char* kind;
  const char* conf;
  const char* user;
  char log[512];
  char reason[512];
};

static int no(struct judge* judge, const char* format, ...) {
  va_list args;
  va_start(args, format);
  vsnprintf(judge->reason, sizeof judge->reason, format, args);
  va_end(args);
  return 0;
}

/* Finds the first line `word` whose first `count` arguments are `wanted`; copies the line's arguments into `found`. */
static int find_line(const char* path, const char* word, int count, const char* const* wanted, char found[4][4096]) {
  FILE* file = fopen(path, "re");
  char line[16384];
  int hit = 0;
  while (file && !hit && fgets(line, sizeof line, file)) {
    char* rest = line;
    char* token = strtok_r(rest, " \n", &rest);
    if (!token || strcmp(token, word) != 0) continue;
    memset(found, 0, 4 * 4096);
    for (int i = 0; i < 4 && (token = strtok_r(rest, " \n", &rest)); i++) snprintf(found[i], 4096, "%s", token);
    hit = 1;
    for (int i = 0; i < count; i++) hit = hit && strcmp(found[i], wanted[i]) == 0;
  }
  if (file) fclose(file);
  return hit;
}

static long long now_of(const char* conf) {
  char found[4][4096];
  if (find_line(conf, "now", 0, NULL, found)) return atoll(found[0]);
  if (find_line(conf, "offset", 0, NULL, found)) return time(NULL) + atoll(found[0]);
  return time(NULL);
}

static void hex(const unsigned char* bytes, size_t size, char* out) {
  for (size_t i = 0; i < size; i++) sprintf(out + 2 * i, "%02x", bytes[i]);
}

static int hex_digit(char c) {
  const char* digits = "0123456789ABCDEF"; /* SigV4 writes upper case */
  const char* at = c ? strchr(digits, c) : NULL;
  return at ? (int)(at - digits) : -1;
}

static int decode(const char* text, char* out, size_t size) {
  size_t n = 0;
  for (; *text && n + 1 < size; text++) {
    if (*text != '%') {
      out[n++] = *text;
      continue;
    }
    int high = hex_digit(text[1]), low = high < 0 ? -1 : hex_digit(text[2]);
    if (low < 0) return 0;
    out[n++] = (char)(high * 16 + low);
    text += 2;
  }
  out[n] = '\0';
  return *text == '\0';
}

struct parameter {
  const char* name;
  const char* raw; /* as it stands in the token: what was signed */
  char* value;
};

static int by_name(const void* a, const void* b) {
  return strcmp(((const struct parameter*)a)->name, ((const struct parameter*)b)->name);
}

static const char* value_of(const struct parameter* parameters, int count, const char* name) {
  for (int i = 0; i < count; i++) {
    if (strcmp(parameters[i].name, name) == 0) return parameters[i].value;
  }
  return NULL;
}

static void hmac(const unsigned char* key, int key_size, const char* text, unsigned char out[32]) {
  unsigned size = 32;
  HMAC(EVP_sha256(), key, key_size, (const unsigned char*)text, strlen(text), out, &size);
}

/* "20260115T123456Z" */
static int parse_date(const char* text, long long* seconds) {
  struct tm parts = {0};
  const char* end = strlen(text) == 16 ? strptime(text, "%Y%m%dT%H%M%SZ", &parts) : NULL;
  if (!end || *end) return 0;
  *seconds = timegm(&parts);
  return 1;
}

static int signature_is_right(struct judge* judge, const char* host, const struct parameter* parameters, int count,
                              const char* secret, const char* date, const char* region, const char* service) {
  static __thread char request[2 * MAX_TEXT];
  char* at = request + sprintf(request, "GET\n/\n");
  int first = 1;
  for (int i = 0; i < count; i++) {
    if (strcmp(parameters[i].name, "X-Amz-Signature") == 0) continue;
    at += sprintf(at, "%s%s=%s", first ? "" : "&", parameters[i].name, parameters[i].raw);
    first = 0;
  }
  /* The default port of https is not part of a signed host. */
  size_t host_length = strlen(host);
  if (host_length > 4 && strcmp(host + host_length - 4, ":443") == 0) host_length -= 4;
  sprintf(at, "\nhost:%.*s\n\nhost\ne3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", (int)host_length,
          host);

  unsigned char digest[32], key[32];
  char digest_hex[65], expected[65], start[4200], to_sign[1024];
  SHA256((unsigned char*)request, strlen(request), digest);
  hex(digest, 32, digest_hex);
  snprintf(to_sign, sizeof to_sign, "AWS4-HMAC-SHA256\n%s\n%.8s/%s/%s/aws4_request\n%s", date, date, region, service,
           digest_hex);
  char day[9];
  snprintf(day, sizeof day, "%.8s", date);
  snprintf(start, sizeof start, "AWS4%s", secret);
  hmac((unsigned char*)start, (int)strlen(start), day, key);
  hmac(key, 32, region, key);
  hmac(key, 32, service, key);
  hmac(key, 32, "aws4_request", key);
  hmac(key, 32, to_sign, digest);
  hex(digest, 32, expected);
  const char* given = value_of(parameters, count, "X-Amz-Signature");
  if (strlen(given) != 64 || CRYPTO_memcmp(given, expected, 64) != 0) return no(judge, "the signature is wrong");
  return 1;
}

static int judge_aws(struct judge* judge, char* token) {
  const int is_rds = strcmp(judge->kind, "rds") == 0;
  char* query = strstr(token, "/?");
  if (!query) return no(judge, "not a token: no /?");
  *query = '\0';
  query += 2;
  const char* host = token;

  struct parameter parameters[MAX_PARAMETERS];
  int count = 0;
  static __thread char decoded[MAX_TEXT];
  char* room = decoded;
  for (char *rest = query, *pair; (pair = strtok_r(rest, "&", &rest));) {
    char* equals = strchr(pair, '=');
    if (!equals || count == MAX_PARAMETERS) return no(judge, "the query is not name=value pairs");
    *equals = '\0';
    if (!decode(equals + 1, room, (size_t)(decoded + sizeof decoded - room))) return no(judge, "bad percent-encoding");
    parameters[count++] = (struct parameter){pair, equals + 1, room};
    room += strlen(room) + 1;
  }
  qsort(parameters, (size_t)count, sizeof *parameters, by_name);
  static const char* const known[] = {"Action",
                                      "DBUser",
                                      "X-Amz-Algorithm",
                                      "X-Amz-Credential",
                                      "X-Amz-Date",
                                      "X-Amz-Expires",
                                      "X-Amz-Security-Token",
                                      "X-Amz-Signature",
                                      "X-Amz-SignedHeaders"};
  for (int i = 0; i < count; i++) {
    int is_known = 0;
    for (size_t k = 0; k < sizeof known / sizeof *known; k++) is_known |= strcmp(parameters[i].name, known[k]) == 0;
    if (!is_known) return no(judge, "unknown parameter");
    if (i && strcmp(parameters[i].name, parameters[i - 1].name) == 0)
      return no(judge, "%s stands twice", parameters[i].name);
  }
  for (size_t k = 0; k < sizeof known / sizeof *known; k++) {
    const int optional = strcmp(known[k], "X-Amz-Security-Token") == 0 || (!is_rds && strcmp(known[k], "DBUser") == 0);
    if (!optional && !value_of(parameters, count, known[k])) return no(judge, "%s is missing", known[k]);
  }
#define VALUE(name) value_of(parameters, count, name)
  if (strcmp(VALUE("X-Amz-Algorithm"), "AWS4-HMAC-SHA256") != 0) return no(judge, "wrong algorithm");
  if (strcmp(VALUE("X-Amz-SignedHeaders"), "host") != 0) return no(judge, "wrong signed headers");
  const char* action = is_rds ? "connect" : strcmp(judge->user, "admin") == 0 ? "DbConnectAdmin" : "DbConnect";
  if (strcmp(VALUE("Action"), action) != 0) return no(judge, "action %s where %s is due", VALUE("Action"), action);
  if (is_rds && strcmp(VALUE("DBUser"), judge->user) != 0) return no(judge, "signed for another user");
  if (!is_rds && VALUE("DBUser")) return no(judge, "a DSQL token has no user");

  char found[4][4096];
  const char* place[] = {judge->kind, host};
  if (!find_line(judge->conf, "host", 2, place, found)) return no(judge, "signed for another host: %.200s", host);
  char region[64];
  snprintf(region, sizeof region, "%.63s", found[2]);

  char credential[512], *rest = credential;
  const char* scope = VALUE("X-Amz-Credential");
  snprintf(credential, sizeof credential, "%s", scope ? scope : "");
  const char *id = strsep(&rest, "/"), *day = strsep(&rest, "/"), *scope_region = strsep(&rest, "/"),
             *service = strsep(&rest, "/");
  const char* due = is_rds ? "rds-db" : "dsql";
  if (!service || !rest || strcmp(rest, "aws4_request") != 0) return no(judge, "the credential scope is not of SigV4");
  if (strcmp(service, due) != 0) return no(judge, "signed for service %.32s", service);
  if (strcmp(scope_region, region) != 0)
    return no(judge, "signed for region %.32s where %s is due", scope_region, region);

  const char* date = VALUE("X-Amz-Date");
  long long signed_at;
  if (!parse_date(date, &signed_at)) return no(judge, "X-Amz-Date cannot be read");
  if (strlen(day) != 8 || strncmp(day, date, 8) != 0) return no(judge, "the scope is of another day than the date");
  char* end;
  const long long life = strtoll(VALUE("X-Amz-Expires"), &end, 10);
  if (*end || life < 1 || life > (is_rds ? 900 : 604800)) return no(judge, "X-Amz-Expires is out of range");
  const long long now = now_of(judge->conf);
  if (now > signed_at + life) return no(judge, "expired %lld s ago", now - signed_at - life);
  if (signed_at > now + MAX_AHEAD) return no(judge, "signed %lld s in the future", signed_at - now);

  const char* key[] = {id};
  if (!find_line(judge->conf, "key", 1, key, found)) return no(judge, "unknown access key");
  const char* session = VALUE("X-Amz-Security-Token");
  if (found[2][0] && !session) return no(judge, "the session token is missing");
  if (session && strcmp(session, found[2]) != 0) return no(judge, "wrong session token");
  return signature_is_right(judge, host, parameters, count, found[1], date, scope_region, service);
#undef VALUE
}

/* ------------------------------------------------------------------------------------------------ JSON Web Tokens */

static int base64url(const char* text, size_t size, unsigned char* out) {
  static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  unsigned bits = 0, held = 0;
  int n = 0;
  for (size_t i = 0; i < size; i++) {
    const char* at = text[i] ? strchr(alphabet, text[i]) : NULL;
    if (!at) return -1;
    bits = bits << 6 | (unsigned)(at - alphabet);
    if ((held += 6) >= 8) out[n++] = (unsigned char)(bits >> (held -= 8));
  }
  return n;
}

/* The text or number behind "name": in a flat object; the fixture's own tokens hold no escapes. */
static int claim(const char* json, const char* name, char* out, size_t size) {
  char quoted[64];
  snprintf(quoted, sizeof quoted, "\"%s\"", name);
  const char* at = strstr(json, quoted);
  if (!at) return 0;
  at += strlen(quoted);
  at += strspn(at, " :");
  const int is_text = *at == '"';
  const size_t length = strcspn(at + is_text, is_text ? "\"" : ",} ");
  snprintf(out, size, "%.*s", (int)length, at + is_text);
  return 1;
}

static int judge_entra(struct judge* judge, char* token) {
  static __thread unsigned char header[MAX_TEXT], payload[MAX_TEXT], signature[MAX_TEXT];
  char *first = strchr(token, '.'), *second = first ? strchr(first + 1, '.') : NULL;
  if (!second) return no(judge, "not a token: not three parts");
  const int header_size = base64url(token, (size_t)(first - token), header);
  const int payload_size = base64url(first + 1, (size_t)(second - first - 1), payload);
  const int signature_size = base64url(second + 1, strlen(second + 1), signature);
  if (header_size < 0 || payload_size < 0 || signature_size < 0) return no(judge, "not base64url");
  header[header_size] = payload[payload_size] = 0;

  char text[4096], found[4][4096];
  if (!claim((char*)header, "alg", text, sizeof text) || strcmp(text, "RS256") != 0)
    return no(judge, "alg is not RS256");
  const char* kid[] = {text};
  if (!claim((char*)header, "kid", text, sizeof text) || !find_line(judge->conf, "jwtkey", 1, kid, found))
    return no(judge, "unknown kid");
  FILE* file = fopen(found[1], "re");
  EVP_PKEY* key = file ? PEM_read_PUBKEY(file, NULL, NULL, NULL) : NULL;
  if (file) fclose(file);
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  const int right = key && EVP_DigestVerifyInit(context, NULL, EVP_sha256(), NULL, key) == 1 &&
                    EVP_DigestVerify(context, signature, (size_t)signature_size, (unsigned char*)token,
                                     (size_t)(second - token)) == 1;
  EVP_MD_CTX_free(context);
  EVP_PKEY_free(key);
  if (!right) return no(judge, "the signature is wrong");

  const long long now = now_of(judge->conf);
  if (!claim((char*)payload, "exp", text, sizeof text) || atoll(text) <= now) return no(judge, "expired");
  if (claim((char*)payload, "nbf", text, sizeof text) && atoll(text) > now + MAX_AHEAD)
    return no(judge, "not valid yet");
  const char* audience[] = {text};
  if (!claim((char*)payload, "aud", text, sizeof text) || !find_line(judge->conf, "aud", 1, audience, found))
    return no(judge, "wrong audience");
  const char* role[] = {judge->user, text};
  if (!claim((char*)payload, "oid", text, sizeof text) || !find_line(judge->conf, "role", 2, role, found))
    return no(judge, "wrong oid for this role");
  return 1;
}

/* ------------------------------------------------------------------------------------------------------------ PAM */

static void write_verdict(const struct judge* judge, int accepted, size_t length) {
  char found[4][4096];
  if (!find_line(judge->conf, "log", 0, NULL, found)) return;
  FILE* log = fopen(found[0], "ae");
  if (!log) return;
  fprintf(log, "%s %s user=%s length=%zu%s%s\n", accepted ? "accept" : "reject", judge->kind, judge->user, length,
          accepted ? "" : " reason=", accepted ? "" : judge->reason);
  fclose(log);
}

int pam_sm_authenticate(pam_handle_t* handle, int flags, int argc, const char** argv) {
  (void)flags;
  struct judge judge = {0};
  for (int i = 0; i < argc; i++) {
    if (strncmp(argv[i], "kind=", 5) == 0) judge.kind = argv[i] + 5;
    if (strncmp(argv[i], "conf=", 5) == 0) judge.conf = argv[i] + 5;
  }
  const char* password = NULL;
  if (!judge.kind || !judge.conf || pam_get_user(handle, &judge.user, NULL) != PAM_SUCCESS ||
      pam_get_authtok(handle, PAM_AUTHTOK, &password, NULL) != PAM_SUCCESS || !password ||
      strlen(password) >= MAX_TEXT) {
    return PAM_AUTH_ERR;
  }
  char* token = strdup(password);
  if (!token) return PAM_AUTH_ERR;
  const int accepted = strcmp(judge.kind, "entra") == 0 ? judge_entra(&judge, token) : judge_aws(&judge, token);
  write_verdict(&judge, accepted, strlen(password));
  free(token);
  return accepted ? PAM_SUCCESS : PAM_AUTH_ERR;
}

int pam_sm_setcred(pam_handle_t* handle, int flags, int argc, const char** argv) {
  (void)handle, (void)flags, (void)argc, (void)argv;
  return PAM_SUCCESS;
}

int pam_sm_acct_mgmt(pam_handle_t* handle, int flags, int argc, const char** argv) {
  (void)handle, (void)flags, (void)argc, (void)argv;
  return PAM_SUCCESS;
}
