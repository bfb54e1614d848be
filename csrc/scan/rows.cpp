#include "rows.hpp"

#include <cstring>

namespace textassay {

namespace {

constexpr size_t kMaxRows = size_t{1} << 14;  // of a block: empty texts take room, too

std::string_view view(const uint8_t* data, const Cell& cell) {
    return cell.is_null() ? std::string_view{} : std::string_view(reinterpret_cast<const char*>(data) + cell.begin, cell.size);
}

}  // namespace

void RowCutter::cut(const Rows& rows, size_t begin, size_t end, const TakeBuffer& take_buffer, std::vector<Block>& blocks) const {
    size_t bytes = 0;
    uint64_t texts = 0;  // of `bytes`, those of texts
    const auto emit_rows = [&](size_t rows_end) {
        if (begin < rows_end) {
            blocks.push_back(copy(rows, begin, rows_end, bytes, take_buffer));
            blocks.back().text_bytes = texts;
        }
        begin = rows_end;
        bytes = texts = 0;
    };
    for (size_t row = begin; row < end; ++row) {
        const uint64_t size = text_bytes(rows, row);
        if (size > max_record_bytes_) {
            emit_rows(row);
            begin = row + 1;
            Block block;
            block.lost_line = Malformed::kTooLong;
            block.lost_bytes = block.text_bytes = size;
            blocks.push_back(std::move(block));
            continue;
        }
        for (const RowColumn& column : rows.columns) bytes += column.has(row) ? column.size(row) : 0;
        texts += size;
        if (bytes >= block_bytes_ || row + 1 - begin == kMaxRows) emit_rows(row + 1);
    }
    emit_rows(end);
}

uint64_t RowCutter::text_bytes(const Rows& rows, size_t row) const {
    uint64_t bytes = 0;
    for (size_t i = 0; i < n_texts_; ++i) bytes += rows.columns[i].has(row) ? rows.columns[i].size(row) : 0;
    return bytes;
}

Block RowCutter::copy(const Rows& rows, size_t begin, size_t end, size_t bytes, const TakeBuffer& take_buffer) const {
    Block block;
    block.buffer = take_buffer(bytes);
    block.cells.resize((end - begin) * rows.columns.size());
    uint8_t* const data = block.buffer.data();
    size_t at = 0;
    for (size_t i = 0; i < rows.columns.size(); ++i) {
        const RowColumn& column = rows.columns[i];
        for (size_t row = begin; row < end; ++row) {
            if (!column.has(row)) continue;
            const size_t size = column.size(row);
            if (size > 0) std::memcpy(data + at, column.data + column.offsets[row], size);
            block.cells[(row - begin) * rows.columns.size() + i] = {at, size};
            at += size;
        }
    }
    return block;
}

uint64_t RowParser::text_bytes(std::span<const Cell> cells) const {
    uint64_t bytes = 0;
    for (size_t i = 0; i < n_texts_; ++i) bytes += cells[i].is_null() ? 0 : cells[i].size;
    return bytes;
}

Record RowParser::parse(const uint8_t* data, std::span<const Cell> cells) {
    Record record;
    record.values = values_;
    for (const Cell& cell : cells) {
        const std::string_view value = view(data, cell);
        if (!value.empty() && !simdjson::validate_utf8(value.data(), value.size())) record.malformed = Malformed::kInvalidUtf8;
    }
    if (record.malformed != Malformed::kNone) return record;
    size_t found_fields = 0;
    for (size_t i = 0; i < n_texts_; ++i) {
        if (cells[i].is_null()) continue;
        if (found_fields == 0) record.text = view(data, cells[i]);
        if (found_fields == 1) joined_.assign(record.text);
        if (found_fields > 0) joined_.append(kFieldSeparator).append(view(data, cells[i]));
        ++found_fields;
    }
    if (found_fields > 1) record.text = joined_;
    if (found_fields == 0) record.malformed = Malformed::kNoTextField;
    record.has_id = !cells[n_texts_].is_null();
    record.id = view(data, cells[n_texts_]);
    for (size_t i = 0; i < values_.size(); ++i) {
        const Cell& cell = cells[n_texts_ + 1 + i];
        values_[i] = {!cell.is_null(), view(data, cell)};
    }
    return record;
}

}  // namespace textassay
