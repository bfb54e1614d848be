#include "python_rows.hpp"

#include "error.hpp"
#include "gil.hpp"

namespace textassay::bindings {

namespace {

using Data = py::array_t<uint8_t, py::array::c_style>;
using Offsets = py::array_t<int64_t, py::array::c_style>;
using Present = py::array_t<bool, py::array::c_style>;

template <typename Array>
Array array_of(const py::handle& value, const char* wanted) {
    if (!py::isinstance<Array>(value)) throw std::invalid_argument(std::string("rows: wanted ") + wanted);
    return py::reinterpret_borrow<Array>(value);
}

RowColumn column_of(const py::tuple& column, size_t& rows) {
    if (column.size() != 3) throw std::invalid_argument("rows: wanted data, offsets and presence of a column");
    const auto data = array_of<Data>(column[0], "data: a C-contiguous array of uint8");
    const auto offsets = array_of<Offsets>(column[1], "offsets: a C-contiguous array of int64");
    if (data.ndim() != 1 || offsets.ndim() != 1 || offsets.size() < 1)
        throw std::invalid_argument("rows: wanted 1-D arrays, offsets of n + 1 elements");
    RowColumn found{data.data(), offsets.data(), nullptr};
    rows = static_cast<size_t>(offsets.size() - 1);
    bool is_ascending = found.offsets[0] >= 0 && found.offsets[rows] <= data.size();
    for (size_t i = 0; i < rows; ++i) is_ascending &= found.offsets[i] <= found.offsets[i + 1];
    if (!is_ascending) throw std::invalid_argument("rows: wanted ascending offsets within the data");
    if (column[2].is_none()) return found;
    const auto present = array_of<Present>(column[2], "presence: a C-contiguous array of bool");
    found.present = textassay::bindings::column(present, rows, "presence");
    return found;
}

// Views of the arrays, which the caller keeps.
Rows rows_of(const py::list& columns, size_t n_columns) {
    if (columns.size() != n_columns) throw std::invalid_argument("rows: wanted " + std::to_string(n_columns) + " columns");
    Rows rows;
    rows.columns.resize(n_columns);
    bool is_first = true;
    for (size_t i = 0; i < n_columns; ++i) {
        if (columns[i].is_none()) continue;
        size_t size = 0;
        rows.columns[i] = column_of(columns[i].cast<py::tuple>(), size);
        if (!is_first && size != rows.size) throw std::invalid_argument("rows: wanted columns of one length");
        rows.size = size;
        is_first = false;
    }
    if (is_first) throw std::invalid_argument("rows: wanted a column at least");
    return rows;
}

class PythonRowReader final : public RowReader {
   public:
    PythonRowReader(py::object object, size_t n_columns)
        : object_(std::move(object)),
          n_columns_(n_columns),
          format_(object_.attr("format").cast<std::string>()),
          size_on_disk_(object_.attr("size").cast<uint64_t>()) {}

    ~PythonRowReader() override {
        const GilAcquire acquire;
        object_ = columns_ = {};
    }

    void open() override {
        const GilAcquire acquire;
        const py::object reason = object_.attr("open")();
        if (!reason.is_none()) throw ScanError(reason.cast<std::string>(), 0);
    }

    bool read(const Take& take) override {
        Rows rows;
        {
            const GilAcquire acquire;
            columns_ = object_.attr("read")();
            position_ = object_.attr("position").cast<uint64_t>();
            if (py::isinstance<py::str>(columns_)) throw ScanError(columns_.cast<std::string>(), 0);
            if (columns_.is_none()) return false;
            rows = rows_of(columns_, n_columns_);
        }
        take(rows);
        return true;
    }

    void skip(uint64_t rows) override {
        const GilAcquire acquire;
        object_.attr("skip")(rows);
    }

    const char* format() const override { return format_.c_str(); }
    uint64_t size_on_disk() const override { return size_on_disk_; }
    uint64_t position() const override { return position_; }

   private:
    py::object object_;
    py::object columns_;  // keeps the arrays of the rows last read, and nobody writes to them
    const size_t n_columns_;
    const std::string format_;
    const uint64_t size_on_disk_;
    uint64_t position_ = 0;
};

}  // namespace

std::unique_ptr<RowReader> python_row_reader(py::object object, size_t n_columns) {
    return std::make_unique<PythonRowReader>(std::move(object), n_columns);
}

}  // namespace textassay::bindings
