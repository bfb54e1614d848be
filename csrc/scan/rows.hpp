// Rows of a table to blocks, and a row of a block to its record: for files that hold columns of texts instead of lines.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "lines.hpp"
#include "text.hpp"

namespace textassay {

// One column of consecutive rows: the value of row i is data[offsets[i], offsets[i + 1]). Views; nullptr: no row has a value.
struct RowColumn {
    const uint8_t* data = nullptr;
    const int64_t* offsets = nullptr;  // ascending
    const bool* present = nullptr;     // of each row; nullptr: all have a value

    size_t size(size_t row) const { return static_cast<size_t>(offsets[row + 1] - offsets[row]); }
    bool has(size_t row) const { return offsets != nullptr && (present == nullptr || present[row]); }
};

// Consecutive rows: the text fields in their order, the id, then the value fields.
struct Rows {
    size_t size = 0;
    std::vector<RowColumn> columns;
};

// A file of rows that somebody else decodes. One thread at a time asks it, always another one perhaps.
class RowReader {
   public:
    using Take = std::function<void(const Rows&)>;

    virtual ~RowReader() = default;
    // Throws ScanError where there is nothing to be read.
    virtual void open() = 0;
    // Hands the next rows to `take`, which is done with them when it returns; false behind the last. Throws ScanError at a
    // damage: then nothing follows.
    virtual bool read(const Take& take) = 0;
    // Between open() and read(): leaves the first rows out.
    virtual void skip(uint64_t rows) = 0;

    virtual const char* format() const = 0;
    virtual uint64_t size_on_disk() const = 0;
    virtual uint64_t position() const = 0;  // how much of that has been read
};

// Cuts rows into blocks of about `block_bytes`. Rows whose texts are longer than max_record_bytes are only counted. `byte_offset`,
// the bytes of all texts before a block's, and `order` are left to whoever knows the rows before.
class RowCutter {
   public:
    using TakeBuffer = std::function<Buffer(size_t)>;

    RowCutter(size_t n_texts, size_t max_record_bytes, size_t block_bytes)
        : n_texts_(n_texts), max_record_bytes_(max_record_bytes), block_bytes_(block_bytes) {}

    // Rows [begin, end).
    void cut(const Rows& rows, size_t begin, size_t end, const TakeBuffer& take_buffer, std::vector<Block>& blocks) const;

   private:
    uint64_t text_bytes(const Rows& rows, size_t row) const;
    Block copy(const Rows& rows, size_t begin, size_t end, size_t bytes, const TakeBuffer& take_buffer) const;

    const size_t n_texts_;
    const uint64_t max_record_bytes_;
    const size_t block_bytes_;
};

// The cells of one row to its record.
class RowParser {
   public:
    RowParser(size_t n_texts, size_t n_values) : n_texts_(n_texts), values_(n_values) {}

    size_t width() const { return n_texts_ + 1 + values_.size(); }
    // Views live until the next call, those of the data as long as these.
    Record parse(const uint8_t* data, std::span<const Cell> cells);
    uint64_t text_bytes(std::span<const Cell> cells) const;

   private:
    const size_t n_texts_;
    std::string joined_;
    std::vector<FieldValue> values_;
};

}  // namespace textassay
