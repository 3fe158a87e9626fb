// SPDX-License-Identifier: PostgreSQL
// The program's call: its own arguments in, either the untouched real call or parameters for the probe out.

#include "preload/call.h"

#include <string.h>

namespace pqmint {
namespace {

bool is_blank(const char* text) {
  return text[strspn(text, " \t\n\v\f\r")] == '\0';
}

bool is_uri(const char* text) {
  return strncmp(text, "postgresql://", 13) == 0 || strncmp(text, "postgres://", 11) == 0;
}

size_t length_of(const char* const* keywords) {
  size_t n = 0;
  while (keywords[n] != nullptr) ++n;
  return n;
}

}  // namespace

PGconn* Call::plain(const Libpq& libpq) const {
  switch (shape) {
    case Shape::kConninfo:
      return blocking ? libpq.connectdb(conninfo) : libpq.connect_start(conninfo);
    case Shape::kParams:
      return (blocking ? libpq.connectdb_params : libpq.connect_start_params)(keywords, values, expand_dbname);
    case Shape::kLogin:
      return libpq.setdb_login(host, port, options, tty, dbname, user, password);
  }
  return nullptr;
}

bool Call::can_be_asked() const {
  switch (shape) {
    case Shape::kConninfo:
      return conninfo != nullptr && (is_blank(conninfo) || is_uri(conninfo) || strchr(conninfo, '=') != nullptr);
    case Shape::kParams:
      return keywords != nullptr && values != nullptr;
    case Shape::kLogin:
      return true;
  }
  return false;
}

Parameters Call::parameters(size_t extra, const char* default_user) const {
  const size_t own = shape == Shape::kParams ? length_of(keywords) : shape == Shape::kLogin ? 6 : 1;
  Parameters out(1 + own + extra);
  if (!out.ready()) return out;
  if (default_user) out.add("user", default_user);
  switch (shape) {
    case Shape::kConninfo:
      // As a database name a blank string would be one; as a conninfo it says nothing.
      if (!is_blank(conninfo)) out.add("dbname", conninfo);
      break;
    case Shape::kParams:
      for (size_t i = 0; i < own; ++i) out.add(keywords[i], values[i]);
      out.expand_dbname = expand_dbname;
      break;
    case Shape::kLogin:
      out.add("dbname", dbname);
      out.add("host", host);
      out.add("port", port);
      out.add("options", options);
      out.add("user", user);
      out.add("password", password);
      break;
  }
  return out;
}

bool Call::mentions(const char* keyword) const {
  // In a URI a keyword may be spelled with percents.
  const auto may_say = [keyword](const char* text) {
    return text && (strstr(text, keyword) || (is_uri(text) && strchr(text, '%')));
  };
  switch (shape) {
    case Shape::kConninfo:
      return may_say(conninfo);
    case Shape::kParams:
      for (size_t i = 0; keywords[i] != nullptr; ++i) {
        if (strcmp(keywords[i], keyword) == 0) return true;
        if (strcmp(keywords[i], "dbname") == 0 && may_say(values[i])) return true;
      }
      return false;
    case Shape::kLogin:
      return may_say(dbname);
  }
  return false;
}

}  // namespace pqmint
