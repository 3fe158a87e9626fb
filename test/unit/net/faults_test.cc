// SPDX-License-Identifier: PostgreSQL
// Every source against every fault of its service, at each of its steps: what comes of it is one sentence, in time, and
// holds none of the secrets, though the service repeats all that it heard. What each source says of each fault stands
// in the tests of their own.

#include <sys/wait.h>

#include "net/aws/session_fixture.h"
#include "net/http.h"
#include "net/source_fixture.h"

namespace pqmint {
namespace {

using std::chrono::milliseconds;
using test::contains;
using test::Heard;
using test::HttpServer;
using test::Reply;
using Manner = Reply::Manner;
using Source = Result<Fetched> (*)(const Query&);

/// Every secret of these tests begins so; a web token with "eyJ".
constexpr std::string_view kCanary = "s3cretCanary";

std::string canary(const std::string& name) {
  return std::string(kCanary) + "-" + name + "-0123456789";
}

/// A way to credentials: "URL" in a setting is the service's.
struct Way {
  std::string name;
  Source fetch;
  std::vector<std::pair<std::string, std::string>> settings;
  std::function<Reply(const Heard&)> good;
  size_t steps = 1;      // requests of a fetch that goes well
  size_t documents = 0;  // the first of them whose answer is a document
  bool is_xml = false;
};

/// What goes wrong with the good answer to this request.
struct Fault {
  const char* name;
  std::function<Reply(const Heard& heard, Reply good)> make;
  milliseconds time{5000};
};

std::string replaced(std::string text, const std::string& what, const std::string& by) {
  for (size_t at = 0; (at = text.find(what, at)) != text.npos; at += by.size()) text.replace(at, what.size(), by);
  return text;
}

/// A text as JSON and XML take it.
std::string quotable(const std::string& text) {
  std::string out;
  for (const char c : text) {
    out += c == '"' || c == '\\' || c == '<' || c == '&' || static_cast<unsigned char>(c) < ' ' ? ' ' : c;
  }
  return out;
}

std::string json_error(const std::string& said) {
  std::string out;
  for (const char* key : {"error", "error_description", "correlation_id", "correlationId", "trace_id", "code",
                          "message", "Code", "Message", "__type"}) {
    out += (out.empty() ? "{\"" : ",\"") + std::string(key) + "\":\"" + said + "\"";
  }
  return out + "}";
}

std::string xml_error(const std::string& said) {
  return "<ErrorResponse><Error><Code>" + said + "</Code><Message>" + said + "</Message></Error></ErrorResponse>";
}

class EverySource : public test::SourceTest {
 protected:
  EverySource() {
    for (const char* name : {"http_proxy", "https_proxy", "HTTPS_PROXY", "no_proxy", "NO_PROXY", "all_proxy"}) {
      unsetenv(name);
    }
    const std::string make = "cd " + home + R"( && exec 2>/dev/null
      openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=x -keyout key.pem -out cert.pem
      cat key.pem >>cert.pem
      openssl ecparam -name prime256v1 -genkey -noout -out dpop.pem)";
    EXPECT_EQ(std::system(make.c_str()), 0);
    for (const char* folder : {"/sso", "/login", "/tokens"}) std::filesystem::create_directory(home + folder);
    write("jwt", canary("jwt") + ".payload.signature\n");
    write("agent-token", canary("agent"));
    write("tokens/1.key", canary("arc"));
  }

  /// The logins of the CLI have ended and must be refreshed. Their files are rewritten by that.
  void save_logins() {
    Json::Value sso;
    sso["accessToken"] = canary("sso-old");
    sso["expiresAt"] = test::ahead(-60);
    sso["clientId"] = "client";
    sso["clientSecret"] = canary("sso-client");
    sso["registrationExpiresAt"] = test::ahead(86400);
    sso["refreshToken"] = canary("sso-refresh");
    write("sso/ee0bfd2552fbd840c02cc48b6e823320543c450f.json", to_json(sso).reveal());  // sha1 of "corp"
    Json::Value login;
    login["accessToken"]["accessKeyId"] = "ASIAOLD";
    login["accessToken"]["secretAccessKey"] = canary("login-old");
    login["accessToken"]["sessionToken"] = canary("login-old");
    login["accessToken"]["expiresAt"] = test::ahead(-60);
    login["clientId"] = "client";
    login["refreshToken"] = canary("login-refresh");
    std::ifstream pem(home + "/dpop.pem");
    login["dpopKey"] = std::string(std::istreambuf_iterator<char>(pem), {});
    // sha256 of "corp"
    write("login/19f4c684a3ff4f2dfa73b8d9098257cfb08e3da6b5ac7f86aa3aa36537018265.json", to_json(login).reveal());
  }

  std::vector<Way> ways() const {
    const std::string keys = R"("AccessKeyId":"ASIA1","SecretAccessKey":")" + canary("key") + R"(","Token":")" +
                             canary("session") + R"(","Expiration":")" + test::kNever + R"(")";
    const Reply sts = {200,
                       "<R><Credentials><AccessKeyId>ASIA1</AccessKeyId><SecretAccessKey>" + canary("key") +
                           "</SecretAccessKey><SessionToken>" + canary("session") + "</SessionToken><Expiration>" +
                           test::kNever + "</Expiration></Credentials></R>",
                       {{"Content-Type", "text/xml"}}};
    const Reply document = {200, "{" + keys + R"(,"Code":"Success"})"};
    const Reply token = {200,
                         R"({"access_token":"a.b.c","token_type":"Bearer","expires_on":"4072163696","expires_in":99})"};
    const auto always = [](const Reply& reply) { return [reply](const Heard&) { return reply; }; };
    const auto sso = [](const Heard& heard) {
      if (heard.target == "/token") {
        return Reply{200, R"({"accessToken":")" + canary("sso-new") + R"(","expiresIn":3600,"refreshToken":")" +
                              canary("sso-rotated") + R"("})"};
      }
      return Reply{200, R"({"roleCredentials":{"accessKeyId":"ASIA1","secretAccessKey":")" + canary("key") +
                            R"(","sessionToken":")" + canary("session") + R"(","expiration":4072163696000}})"};
    };
    const Reply login = {200, R"({"accessToken":{"accessKeyId":"ASIA1","secretAccessKey":")" + canary("key") +
                                  R"(","sessionToken":")" + canary("session") +
                                  R"("},"expiresIn":900,"refreshToken":")" + canary("login-rotated") + R"("})"};
    const auto imds = [document](const Heard& heard) {
      if (heard.method == "PUT") return Reply{200, canary("imds")};
      if (heard.target == "/latest/meta-data/iam/security-credentials/") return Reply{200, "my-role"};
      return heard.target.ends_with("/region") ? Reply{200, "eu-west-1"} : document;
    };
    const auto arc = [this, token](const Heard& heard) {
      if (heard.headers.contains("authorization")) return token;
      return Reply{401, "", {{"WWW-Authenticate", "Basic realm=" + home + "/tokens/1.key"}}};
    };
    const std::vector<std::pair<std::string, std::string>> role = {
        {"role_arn", "arn:aws:iam::123456789012:role/R"}, {"endpoint_url_sts", "URL"}, {"max_attempts", "1"}};
    const std::vector<std::pair<std::string, std::string>> entra = {
        {"authority", "URL"}, {"tenant_id", "t"}, {"client_id", "c"}, {"scope", "https://x/.default"}};
    const std::vector<std::pair<std::string, std::string>> managed = {
        {"scope", "https://x/.default"}, {"arc_agent", "/nowhere"}, {"imds_host", "http://127.0.0.1:1"}};
    const auto with = [](std::vector<std::pair<std::string, std::string>> base,
                         const std::vector<std::pair<std::string, std::string>>& more) {
      base.insert(base.end(), more.begin(), more.end());
      return base;
    };
    return {
        {"assume-role", fetch_assume_role, role, always(sts), 1, 0, true},
        {"web-identity", fetch_web_identity, with(role, {{"web_identity_token_file", home + "/jwt"}}), always(sts), 1,
         0, true},
        {"sso",
         fetch_sso,
         {{"region", "eu-west-1"},
          {"sso_session", "corp"},
          {"sso_account_id", "1"},
          {"sso_role_name", "R"},
          {"cache_directory", home + "/sso"},
          {"endpoint_url_sso", "URL"},
          {"endpoint_url_sso_oidc", "URL"},
          {"max_attempts", "1"}},
         sso,
         2},
        {"login",
         fetch_login,
         {{"region", "eu-west-1"},
          {"login_session", "corp"},
          {"cache_directory", home + "/login"},
          {"endpoint_url_signin", "URL"},
          {"max_attempts", "1"}},
         always(login)},
        {"container",
         fetch_container,
         {{"full_uri", "URL"}, {"authorization_token", canary("agent")}},
         always(document)},
        {"container by file",
         fetch_container,
         {{"full_uri", "URL"}, {"authorization_token_file", home + "/agent-token"}},
         always(document)},
        {"imds", fetch_imds, {{"endpoint", "URL"}}, imds, 3, 2},
        {"imds-region", fetch_imds_region, {{"endpoint", "URL"}}, imds, 2, 2},
        {"client-secret", fetch_client_secret, with(entra, {{"client_secret", canary("client")}}), always(token)},
        {"client-certificate", fetch_client_certificate, with(entra, {{"certificate_path", home + "/cert.pem"}}),
         always(token)},
        {"workload-identity", fetch_workload_identity, with(entra, {{"federated_token_file", home + "/jwt"}}),
         always(token)},
        {"App Service", fetch_managed_identity,
         with(managed, {{"identity_endpoint", "URL"}, {"identity_header", canary("header")}}), always(token)},
        {"Machine Learning", fetch_managed_identity,
         with(managed, {{"msi_endpoint", "URL"}, {"msi_secret", canary("msi")}}), always(token)},
        {"Cloud Shell", fetch_managed_identity, with(managed, {{"msi_endpoint", "URL"}}), always(token)},
        {"Arc", fetch_managed_identity,
         with(managed,
              {{"identity_endpoint", "URL"}, {"imds_endpoint", "x"}, {"arc_key_directory", home + "/tokens/"}}),
         arc, 2, 1},
        {"Azure's metadata", fetch_managed_identity, with(managed, {{"pod_identity_authority_host", "URL"}}),
         always(token)},
    };
  }

  std::string told_by(const Way& way, const std::string& url, milliseconds time) {
    values_.clear();
    for (const auto& [name, value] : way.settings) setting(name, replaced(value, "URL", url));
    save_logins();
    settings_.clear();
    for (const auto& [name, value] : values_) settings_.push_back({name.c_str(), value.c_str()});
    const std::string secret = canary("signer"), session = canary("signers-session");
    const pqmint_keys signer = {"AKIASIGNER", secret.c_str(), session.c_str()};
    Clock clock;
    const auto found = way.fetch({Settings(settings_), &signer, Deadline::in(time), clock});
    const std::string text = found ? found->is_absent ? "ABSENT " + found->text : "OK" : found.error().text;
    EXPECT_FALSE(contains(text, kCanary)) << text;
    EXPECT_FALSE(contains(text, "eyJ")) << text;
    EXPECT_FALSE(contains(text, "\n")) << text;
    EXPECT_LT(text.size(), 1500u) << text;
    return text;
  }

  /// Each way with this fault at each step from `first` on: the sentences. None may be a success.
  void fails(const Fault& fault, bool is_document) {
    for (const Way& way : ways()) {
      for (size_t step = is_document ? way.documents : 0; step < way.steps; ++step) {
        SCOPED_TRACE(std::string(fault.name) + " at step " + std::to_string(step) + " of " + way.name);
        size_t heard_before = 0;
        is_xml_ = way.is_xml;
        HttpServer server([&](const Heard& heard) {
          Reply good = way.good(heard);
          return heard_before++ < step ? good : fault.make(heard, std::move(good));
        });
        const std::string text = told_by(way, server.url(), fault.time);
        EXPECT_FALSE(text.starts_with("OK")) << text;
        EXPECT_GT(text.size(), 20u) << text;
        EXPECT_GT(server.count(), step) << "the fault was never met: " << text;
        EXPECT_LE(server.count(), way.steps + 4) << "tried again and again";
        ++cases_;
      }
    }
  }

  bool is_xml_ = false;
  size_t cases_ = 0;
};

TEST_F(EverySource, AGoodAnswerIsTakenHoweverItComes) {
  for (const Way& way : ways()) {
    SCOPED_TRACE(way.name);
    for (const Manner manner : {Manner::kWhole, Manner::kInPieces, Manner::kChunked}) {
      HttpServer server([&](const Heard& heard) {
        Reply reply = way.good(heard);
        reply.manner = manner;
        return reply;
      });
      EXPECT_EQ(told_by(way, server.url(), milliseconds(5000)), "OK") << static_cast<int>(manner);
      EXPECT_EQ(server.count(), way.steps);
    }
    // Documents have a kilobyte or two. What is larger is judged by what it says, up to 1 MiB.
    size_t heard_before = 0;
    HttpServer large([&](const Heard& heard) {
      Reply reply = way.good(heard);
      if (heard_before++ >= way.documents && reply.status == 200) reply.body += std::string(70'000, ' ');
      return reply;
    });
    EXPECT_EQ(told_by(way, large.url(), milliseconds(5000)), "OK") << "70 KB";
  }
}

TEST_F(EverySource, ABadDocumentIsNotBelieved) {
  const auto body = [](const std::function<std::string(const std::string& good)>& make) {
    return [make](const Heard&, Reply good) {
      good.body = make(good.body);
      return good;
    };
  };
  const auto instead = [&](const std::string& text) { return body([text](const std::string&) { return text; }); };
  const std::string deep(10'000, '[');
  const std::string gzip = "\x1f\x8b\x08" + std::string(7, '\0') + "not unpacked, whatever it would be";
  for (const Fault& fault : std::vector<Fault>{
           {"nothing", instead("")},
           {"a page", instead("<!DOCTYPE html><html><body>Log in to the network</body></html>")},
           {"a list", body([](const std::string& good) { return "[" + good + "]"; })},
           {"half of it", body([](const std::string& good) { return good.substr(0, good.size() / 2); })},
           {"two of it", body([](const std::string& good) { return good + good; })},
           {"each key twice", body([](const std::string& good) {
              if (good.starts_with('<')) {
                return replaced(good, "</AccessKeyId>", "</AccessKeyId><AccessKeyId>ASIA2</AccessKeyId>");
              }
              return "{" + good.substr(1, good.size() - 2) + "," + good.substr(1);
            })},
           {"numbers for texts", body([](const std::string& good) {
              std::string out;
              bool is_value = false;
              for (size_t at = 0; at < good.size(); ++at) {
                if (good[at] == ':') is_value = true;
                if (good[at] == ',' || good[at] == '{') is_value = false;
                if (good[at] == '"' && is_value) {
                  at = good.find('"', at + 1);
                  out += "7";
                } else {
                  out += good[at];
                }
              }
              return out == good ? std::string("7") : out;
            })},
           {"no values", body([](const std::string& good) {
              return good.starts_with('<') ? std::string("<R><Credentials/></R>") : std::string("{}");
            })},
           {"deep", instead("{\"a\":" + deep + std::string(10'000, ']') + "}")},
           {"deep XML", body([](const std::string& good) {
              std::string open, close;
              for (int i = 0; i < 10'000; ++i) open += "<a>", close += "</a>";
              return open + good + close;
            })},
           {"a role that may not be assumed", body([](const std::string&) {
              return R"({"Code":"AssumeRoleUnauthorizedAccess","Message":"EC2 cannot assume the role"})";
            })},
           {"a secret that a C string would cut", body([](const std::string& good) {
              if (good.starts_with('<')) return replaced(good, "-key-", std::string("-k\0ey-", 6));
              return replaced(replaced(replaced(good, "-key-", "-k\\u0000ey-"), "a.b.c", "a.b\\u0000.c"), "eu-west-1",
                              std::string("eu\0west", 7));
            })},
           {"a secret with a line end", body([](const std::string& good) {
              if (good.starts_with('<')) return replaced(good, "-key-", "-k&#10;ey-");
              return replaced(replaced(replaced(good, "-key-", "-k\\ney-"), "a.b.c", "a.b\\n.c"), "eu-west-1",
                              "eu west");
            })},
           {"packed, which nobody asked for",
            [gzip](const Heard&, Reply good) {
              good.headers["Content-Encoding"] = "gzip";
              good.body = gzip;
              return good;
            }},
           {"a length that is too small",
            [](const Heard&, Reply good) {
              good.length = 4;
              good.body = "{<" + good.body;
              return good;
            }},
           {"more than a document has",
            [](const Heard&, Reply good) {
              good.body += std::string(kMaxHttpBody, ' ');
              return good;
            }},
       }) {
    fails(fault, true);
  }
  std::printf("%zu cases\n", cases_);
}

TEST_F(EverySource, ARefusalThatRepeatsWhatItHeardShowsNoSecret) {
  for (const int status : {400, 401, 403, 404, 405, 410, 429, 500, 503}) {
    const Fault fault = {
        "a refusal",
        [&](const Heard& heard, Reply) {
          std::string all = quotable(heard.raw_head + " " + heard.body);
          for (const char* name : {"authorization", "x-amz-security-token", "x-amz-sso_bearer_token",
                                   "x-aws-ec2-metadata-token", "x-identity-header", "secret"}) {
            if (heard.headers.contains(name)) all = heard.headers.at(name) + " " + all;
          }
          for (const char* name : {"client_secret=", "client_assertion=", "WebIdentityToken=", "refreshToken\":\""}) {
            const size_t at = heard.body.find(name);
            if (at == heard.body.npos) continue;
            const std::string value = heard.body.substr(at + strlen(name));
            all = value.substr(0, value.find_first_of("&\"")) + " " + all;
          }
          all = quotable(all);
          return Reply{status, is_xml_ ? xml_error(all) : json_error(all), {{"Retry-After", "3600"}}};
        },
        milliseconds(300)};
    fails(fault, false);
  }
}

TEST_F(EverySource, NoRedirectIsFollowedAndNothingLeavesWithIt) {
  HttpServer other([](const Heard&) { return Reply(); });
  const std::string port = std::to_string(other.port());
  for (const int status : {301, 302, 303, 307, 308}) {
    for (const std::string& location :
         {other.url() + "/x", "http://localhost:" + port + "/x", "https://127.0.0.1:" + port + "/x",
          "//127.0.0.1:" + port + "/x", std::string("file:///etc/passwd")}) {
      const Fault fault = {"a redirect",
                           [&](const Heard&, Reply good) {
                             // With an answer that would be a good one.
                             return Reply{status, good.body, {{"Location", location}}};
                           },
                           milliseconds(300)};
      fails(fault, false);
    }
  }
  EXPECT_EQ(other.count(), 0u);
}

TEST_F(EverySource, ABrokenAnswerIsNone) {
  for (const Manner manner : {Manner::kTruncated, Manner::kDropped, Manner::kReset, Manner::kNotHttp, Manner::kEndless,
                              Manner::kChunkless, Manner::kSilent}) {
    const Fault fault = {"a broken answer",
                         [&](const Heard&, Reply good) {
                           good.manner = manner;
                           good.body += " ";  // that half of it is not all of it
                           return good;
                         },
                         milliseconds(200)};
    fails(fault, false);
  }
}

TEST_F(EverySource, NobodyIsThere) {
  for (const Way& way : ways()) {
    SCOPED_TRACE(way.name);
    const std::string closed = "http://127.0.0.1:" + std::to_string(test::closed_port());
    EXPECT_FALSE(told_by(way, closed, milliseconds(200)).starts_with("OK"));
    for (const char* no_url : {"", "nonsense", "ftp://127.0.0.1", "http://u:s3cretCanary@127.0.0.1:1", "http://[::1"}) {
      EXPECT_FALSE(told_by(way, no_url, milliseconds(200)).starts_with("OK")) << no_url;
    }
  }
}

/// In a header, what a variable or a file holds would begin another one.
TEST_F(EverySource, NoHeaderHasALineEnd) {
  for (const auto& [name, fetch, broken] : std::vector<std::tuple<std::string, Source, std::string>>{
           {"container", fetch_container, "authorization_token"},
           {"App Service", fetch_managed_identity, "identity_header"},
           {"Machine Learning", fetch_managed_identity, "msi_secret"},
       }) {
    for (const Way& way : ways()) {
      if (way.name != name) continue;
      for (const char* end : {"\r\n", "\n", "\r"}) {
        Way with_end = way;
        for (auto& [key, value] : with_end.settings) {
          if (key == broken) value += std::string(end) + "X-Evil: 1";
        }
        HttpServer server(way.good);
        EXPECT_TRUE(contains(told_by(with_end, server.url(), milliseconds(5000)), "line end")) << name;
        EXPECT_EQ(server.count(), 0u) << name;
      }
    }
  }
}

/// Programs: what they print and complain of is a canary too, and their arguments.
TEST_F(EverySource, AProgramThatFailsShowsNoSecret) {
  const std::string path = getenv("PATH");
  std::filesystem::create_directory(home + "/bin");
  const auto script = [&](const std::string& text) {
    for (const char* name : {"az", "azd", "pwsh", "getter"}) {
      const std::string file = write(std::string("bin/") + name, text);
      chmod(file.c_str(), 0755);
    }
  };
  set("PATH", home + "/bin:" + path);
  const std::string secret = canary("printed");
  const std::string both = "echo " + secret + "; echo " + secret + " >&2; ";
  setting("scope", "https://x/.default");
  setting("command", "getter --password " + canary("argument"));
  setting("profile", "p");
  for (const std::string& text : {
           "#!/bin/sh\n" + both + "exit 1\n",
           "#!/bin/sh\n" + both + "exit 0\n",
           "#!/bin/sh\n" + both + "kill -9 $$\n",
           "#!/bin/sh\n" + both + "exec sleep 30\n",
           "#!/bin/sh\necho '{\"accessToken\":\"" + secret + " \",\"token\":\"" + secret + " \",\"Token\":\"" + secret +
               " \",\"AccessKeyId\":\"" + secret +
               "\",\"Version\":1,\"expires_on\":1,\"ExpiresOn\":1,\"Expiration\":\"" + secret + "\"}'; echo second\n",
           "#!/bin/sh\necho '{\"Version\":\"" + secret + "\",\"accessToken\":\"" + secret + "\",\"Expiration\":\"" +
               secret + "\",\"expiresOn\":\"" + secret + "\",\"token\":\"" + secret + "\",\"Token\":\"" + secret +
               "\"}'; echo\n",
           "#!/bin/sh\necho 'AADSTS" + secret + "' >&2; echo 'az login --scope " + secret + "\"' >&2; exit 1\n",
           "#!/no/such/" + secret + "\n",
       }) {
    script(text);
    for (const Source fetch : {Source(fetch_process), Source(fetch_command), Source(fetch_azure_cli),
                               Source(fetch_azure_developer_cli), Source(fetch_azure_powershell)}) {
      const std::string said = told(fetch, milliseconds(300));
      // What a command of the user's own prints is the token, whatever it looks like.
      EXPECT_TRUE(fetch == fetch_command || !said.starts_with("OK")) << said;
      EXPECT_FALSE(contains(said, kCanary)) << text << said;
    }
  }
  set("PATH", path);
}

}  // namespace
}  // namespace pqmint
