// SPDX-License-Identifier: PostgreSQL
// `pqmint check`: what a connection would do, host by host, as JSON for scripts or as lines for people.

#include <dlfcn.h>
#include <getopt.h>
#include <json/json.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <string>

#include "base/endpoint.h"
#include "base/instant.h"
#include "base/libpq_integer.h"
#include "cli/commands.h"
#include "cli/report.h"
#include "preload/connect.h"
#include "preload/inquiry.h"

namespace {

using namespace pqmint;

Json::Value text(const char* value) {
  return value && *value ? Json::Value(value) : Json::Value();
}

// "2026-01-15T12:49:56Z"; null for a time that is not known.
Json::Value utc(int64_t seconds) {
  if (seconds == 0) return {};
  return instant_text(seconds);
}

// Each source's name, and why it was used or passed over.
Json::Value trail_of(const pqmint_grant& grant) {
  Json::Value out(Json::arrayValue);
  std::string_view rest = grant.credential_trail ? grant.credential_trail : "";
  while (!rest.empty()) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(line.size() + 1, rest.size()));
    const size_t colon = line.find(": ");
    Json::Value step;
    step["source"] = std::string(line.substr(0, colon));
    step["reason"] = std::string(line.substr(colon + 2));
    out.append(step);
  }
  return out;
}

Json::Value tls_of(const Inquiry& inquiry, const pqmint_grant& grant) {
  const pqmint_answer& answer = inquiry.answer();
  Json::Value tls;
  const bool raised = grant.managed && answer.sslmode;
  const bool rooted = grant.managed && answer.sslrootcert;
  tls["sslmode"] = text(raised ? answer.sslmode : inquiry.target().option("sslmode"));
  tls["sslrootcert"] = text(rooted ? answer.sslrootcert : inquiry.target().option("sslrootcert"));
  return tls;
}

// A host that is recognised, and left alone all the same because libpq has a password for it.
void describe_own_password(const Inquiry& inquiry, size_t index, Json::Value& out) {
  const Host& host = inquiry.target().hosts()[index];
  const Endpoint endpoint = classify(host.host ? host.host : "");
  const char* spec = inquiry.claims()[index].spec.get();
  if (endpoint.service == Service::kNone) {
    const char* dialled = host.hostaddr ? host.hostaddr : host.host ? host.host : "";
    if (!spec && is_loopback(dialled)) {
      out["note"] = std::string(dialled) +
                    " is this machine itself: if a tunnel to a managed database begins here, name its end with "
                    "passfile=pqmint:rds?endpoint=NAME:PORT (or dsql, entra)";
    }
    return;
  }
  out["managed"] = true;
  out["provider"] = name_of(endpoint.service);
  out["kind"] = name_of(endpoint.kind);
  if (!endpoint.region().empty()) {
    out["region"] = std::string(endpoint.region());
    out["region_source"] = "host";
  }
  out["note"] =
      spec ? "switched off by " + std::string(spec)
           : "libpq has a password for this host (conninfo, PGPASSWORD or password file), and it wins: no token is "
             "minted; ask for one with passfile=pqmint:";
}

Json::Value describe_host(const Inquiry& inquiry, size_t index) {
  const Host& host = inquiry.target().hosts()[index];
  const pqmint_grant& grant = inquiry.answer().grants[index];
  Json::Value out;
  out["host"] = text(host.host);
  out["hostaddr"] = text(host.hostaddr);
  int port;
  out["port"] = libpq_integer(host.port, port) ? Json::Value(port) : Json::Value();
  out["managed"] = grant.managed != 0;
  out["provider"] = text(grant.provider);
  out["kind"] = text(grant.kind);
  out["endpoint"] = text(grant.endpoint);
  out["region"] = text(grant.region);
  out["region_source"] = text(grant.region_source);
  out["credential"] = Json::Value();
  if (grant.credential_source) {
    out["credential"]["source"] = text(grant.credential_source);
    out["credential"]["name"] = text(grant.credential_name);
    out["credential"]["identity"] = text(grant.identity);
    out["credential"]["expires_at"] = utc(grant.credential_expires);
  }
  if (grant.managed) {
    out["credential_trail"] = trail_of(grant);
    out["clock_skew"] = grant.skew_known ? Json::Value(Json::Int64(grant.skew)) : Json::Value();
  }
  out["token"] = Json::Value();
  if (grant.token) {
    out["token"]["length"] = Json::UInt64(std::string_view(grant.token).size());
    out["token"]["expires_at"] = utc(grant.token_expires);
  }
  out["tls"] = tls_of(inquiry, grant);
  if (grant.note) out["note"] = grant.note;
  const Text bad_port = inquiry.port_fault(index);
  if (!grant.managed) describe_own_password(inquiry, index, out);
  if (bad_port) out.removeMember("note");  // of a password that has no use
  // What forbids the connection as a whole forbids it for each of our hosts.
  out["error"] = text(bad_port        ? bad_port.get()
                      : grant.error   ? grant.error
                      : grant.managed ? inquiry.answer().error
                                      : nullptr);
  return out;
}

Json::Value describe(const Inquiry& inquiry) {
  Json::Value out;
  const char* user = inquiry.answer().user;
  out["user"] = text(user ? user : inquiry.target().option("user"));
  out["dbname"] = text(inquiry.dbname());
  out["hosts"] = Json::Value(Json::arrayValue);
  for (size_t i = 0; i < inquiry.target().host_count(); ++i) out["hosts"].append(describe_host(inquiry, i));
  return out;
}

template <typename F>
F* function(void* handle, const char* name) {
  return reinterpret_cast<F*>(dlsym(handle, name));
}

// Logs in for real and says who answered.
Json::Value try_login(const Libpq& libpq, const char* conninfo) {
  Dl_info object;
  dladdr(reinterpret_cast<void*>(libpq.connectdb), &object);
  void* handle = dlopen(object.dli_fname, RTLD_LAZY | RTLD_NOLOAD);
  const auto exec = function<decltype(PQexec)>(handle, "PQexec");
  const auto get_value = function<decltype(PQgetvalue)>(handle, "PQgetvalue");
  const auto tuples = function<decltype(PQntuples)>(handle, "PQntuples");
  const auto clear = function<decltype(PQclear)>(handle, "PQclear");
  const auto parameter = function<decltype(PQparameterStatus)>(handle, "PQparameterStatus");
  const auto ssl = function<decltype(PQsslAttribute)>(handle, "PQsslAttribute");

  const ConninfoCall asked(conninfo);
  PGconn* conn = connect(libpq, asked.call);
  Json::Value out;
  if (!conn || libpq.status(conn) != CONNECTION_OK) {
    std::string why = conn ? libpq.error_message(conn) : "out of memory";
    while (why.ends_with('\n')) why.pop_back();
    if (why.starts_with("pqmint: ")) why.erase(0, 8);  // complain() says it
    out["error"] = why;
  } else {
    out["error"] = Json::Value();
    out["host"] = text(libpq.host(conn));
    out["server_version"] = text(parameter(conn, "server_version"));
    PGresult* result = exec(conn, "select current_user");
    if (result && tuples(result) == 1) out["user"] = get_value(result, 0, 0);
    clear(result);
    out["tls"]["protocol"] = text(ssl(conn, "protocol"));
    out["tls"]["cipher"] = text(ssl(conn, "cipher"));
  }
  if (conn) {
    connections::remove(conn);
    libpq.finish(conn);
  }
  return out;
}

}  // namespace

int check_command(int argc, char** argv) {
  bool json = false, login = false;
  std::string_view colour = "auto";
  const option options[] = {{"json", no_argument, nullptr, 'j'},
                            {"connect", no_argument, nullptr, 'c'},
                            {"color", required_argument, nullptr, 'w'},
                            {}};
  opterr = 0;
  for (int c; (c = getopt_long(argc, argv, ":", options, nullptr)) != -1;) {
    const std::string wrong = optopt && optopt < 128 ? std::string("-") + static_cast<char>(optopt) : argv[optind - 1];
    if (c == '?') return wrong_usage("check has no option \"" + wrong + "\"");
    if (c == 'j') json = true;
    if (c == 'c') login = true;
    if (c == 'w') colour = optarg;
    if (c == ':' || (colour != "auto" && colour != "always" && colour != "never")) {
      return wrong_usage("--color is auto, always or never");
    }
  }
  if (argc - optind > 1) return wrong_usage("check takes one CONNINFO; put quotes around it");
  const char* conninfo = argc > optind ? argv[optind] : nullptr;

  Text why;
  const Libpq* libpq = some_libpq(why);
  if (!libpq) return complain(why ? why.get() : "out of memory");
  const Inquiry inquiry(*libpq, conninfo, Inquiry::Purpose::kConnection);
  if (inquiry.error()) return complain(inquiry.error());
  Json::Value report = describe(inquiry);
  std::string error = inquiry.answer().error ? inquiry.answer().error : "";
  // A login tells whether libpq comes to that host.
  for (size_t i = 0; i < inquiry.target().host_count() && error.empty() && !login; ++i) {
    if (const Text bad_port = inquiry.port_fault(i)) error = bad_port.get();
  }
  if (login) {
    report["login"] = try_login(*libpq, conninfo);
    if (error.empty() && !report["login"]["error"].isNull()) error = report["login"]["error"].asString();
  }
  if (json) {
    Json::StreamWriterBuilder writer;
    writer["indentation"] = "  ";
    writer["emitUTF8"] = true;
    std::puts(Json::writeString(writer, report).c_str());
  } else {
    const bool is_coloured = colour == "always" || (colour == "auto" && shows_colours(STDOUT_FILENO));
    std::fputs(report_for_people(report, error, is_coloured).c_str(), stdout);
    std::fflush(stdout);
  }
  return error.empty() ? 0 : complain(error);
}
