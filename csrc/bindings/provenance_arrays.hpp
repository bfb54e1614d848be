// Rules of provenance from Python, and the tables to Python and back.
#pragma once

#include <memory>

#include "arrays.hpp"
#include "profile_state.hpp"
#include "provenance.hpp"

namespace textassay::bindings {

// From what `ProvenanceRules.for_inputs` makes. Throws std::invalid_argument where its parts don't fit together.
std::shared_ptr<const ProvenanceRules> provenance_rules(const py::dict& given, size_t inputs);

py::dict provenance_tables(const ProfileState& state);
void add_provenance(ProfileState& state, const py::dict& added);

}  // namespace textassay::bindings
