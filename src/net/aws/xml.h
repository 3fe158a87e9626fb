// SPDX-License-Identifier: PostgreSQL
// XML, as far as AWS speaks it in what pqmint asks for: a document comes in, the texts of one element's children go
// out.
#pragma once

#include <span>
#include <string_view>

#include "base/secret.h"
#include "base/text.h"

namespace pqmint {

/// One child element that is looked for.
struct XmlChild {
  std::string_view name;
  Secret text = {};
  bool is_there = false;

  std::string_view value() const { return trim(text.reveal()); }
};

/// Fills in the texts of `children` of the first element `parent`, in whatever order they come; namespaces, attributes
/// and elements further down are passed over. False if there is no such element, it has a child twice, or the text is
/// no XML. Looks at each byte once: the answer may be 1 MiB of anything, and no deadline counts here.
bool read_xml_children(std::string_view xml, std::string_view parent, std::span<XmlChild> children);

}  // namespace pqmint
