// Which value of a request says where it goes, and its look-up.
// Called by bind/ after a scan. Promises: looks at spans only, decodes nothing: what is spelled with escapes is said to be so.
#pragma once

#include "../core/span.h"
#include "table.h"

namespace sluice::route {

/// Fills the numbers from envelope::route on, which are -1, for a message that was scanned without fault.
void route_message(const Table& table, const Bytes& text, uint32_t endpoint, int32_t* envelope);

}  // namespace sluice::route
