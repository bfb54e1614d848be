#include "python_encoder.hpp"

#include "gil.hpp"

namespace textassay::bindings {

namespace {

using Ids = py::array_t<uint32_t, py::array::c_style>;
using Offsets = py::array_t<int64_t, py::array::c_style>;

// Copied, since the caller goes on without the GIL.
TextIds text_ids(const py::object& found, size_t texts) {
    if (!py::isinstance<py::tuple>(found) || py::len(found) != 2) throw std::invalid_argument("ids: wanted ids and offsets");
    const auto pair = py::reinterpret_borrow<py::tuple>(found);
    if (!py::isinstance<Ids>(pair[0]) || !py::isinstance<Offsets>(pair[1]))
        throw std::invalid_argument("ids: wanted C-contiguous arrays of uint32 and int64");
    const auto ids = py::reinterpret_borrow<Ids>(pair[0]);
    const auto offsets = py::reinterpret_borrow<Offsets>(pair[1]);
    const int64_t* const offset = column(offsets, texts + 1, "offsets");
    bool is_ascending = ids.ndim() == 1 && offset[0] == 0 && offset[texts] == ids.size();
    for (size_t i = 0; i < texts; ++i) is_ascending &= offset[i] <= offset[i + 1];
    if (!is_ascending) throw std::invalid_argument("ids: wanted ascending offsets, from 0 to the number of ids");
    return {{ids.data(), ids.data() + ids.size()}, {offset + 1, offset + texts + 1}};
}

class PythonEncoder final : public TextEncoder {
   public:
    explicit PythonEncoder(py::object object) : object_(std::move(object)) {}

    ~PythonEncoder() override {
        const GilAcquire acquire;
        object_ = {};
    }

    TextIds encode(std::span<const std::string_view> texts) const override {
        const GilAcquire acquire;
        py::list strings;
        for (const std::string_view text : texts) strings.append(py::str(text.data(), text.size()));
        return text_ids(object_.attr("encode")(strings), texts.size());
    }

   private:
    py::object object_;
};

}  // namespace

std::shared_ptr<const TextEncoder> python_encoder(const py::object& object) {
    return object.is_none() ? nullptr : std::make_shared<const PythonEncoder>(object);
}

}  // namespace textassay::bindings
