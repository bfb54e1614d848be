// The algorithms, written once over a vector type `Bytes64` that the including file defines:
//   Bytes64 load(const uint8_t*); void store(uint8_t*) const;
//   uint64_t equal(uint8_t) const; uint64_t at_most(uint8_t) const (unsigned); uint64_t high() const;
//   Bytes64 minus(uint8_t) const; Bytes64 lower_case() const.
// Included inside an unnamed namespace: an ISA file must leave no weak symbol behind, or the linker may hand its
// instructions to the rest of the program.

bool classify(const uint8_t* text, size_t blocks, BlockMasks* masks, uint8_t* folded) {
    uint64_t any_high = 0;
    for (size_t b = 0; b < blocks; ++b) {
        const Bytes64 bytes = Bytes64::load(text + 64 * b);
        const Bytes64 lower = bytes.lower_case();
        lower.store(folded + 64 * b);
        const uint64_t quote = bytes.equal('\'');
        BlockMasks& m = masks[b];
        m.high = bytes.high();
        m.letter = lower.minus('a').at_most(25);
        m.number = bytes.minus('0').at_most(9);
        m.connector = bytes.equal('_');
        m.dot = bytes.equal('.');
        m.comma = bytes.equal(',');
        m.mid_letter = m.dot | quote | bytes.equal(':');
        m.mid_number = m.dot | quote | m.comma | bytes.equal(';');
        m.shout = bytes.equal('!') | bytes.equal('?');
        m.close = quote | bytes.equal('"') | bytes.minus('(').at_most(1);
        m.line_feed = bytes.equal('\n');
        m.return_ = bytes.equal('\r');
        m.stop = m.dot | m.shout | m.line_feed | m.return_;
        m.lower = bytes.minus('a').at_most(25);
        m.space = bytes.equal(' ');
        m.visible = ~(bytes.at_most(' ') | m.high);
        any_high |= m.high;
    }
    return any_high != 0;
}

#ifndef TEXTASSAY_OWN_POSITIONS
// Eight at a time without asking how many there are: a branch per bit would be mispredicted at each block's last.
size_t positions(const uint64_t* masks, size_t blocks, uint32_t base, uint32_t* out, uint32_t* before) {
    size_t total = 0;
    for (size_t b = 0; b < blocks; ++b, base += 64) {
        before[b] = static_cast<uint32_t>(total);
        uint64_t bits = masks[b];
        const size_t count = static_cast<size_t>(__builtin_popcountll(bits));
        uint32_t* to = out + total;
        for (size_t done = 0; done < count; done += 8, to += 8) {
            for (int i = 0; i < 8; ++i) {
                to[i] = base + static_cast<uint32_t>(__builtin_ctzll(bits | uint64_t{1} << 63));
                bits &= bits - 1;
            }
        }
        total += count;
    }
    before[blocks] = static_cast<uint32_t>(total);
    return total;
}
#endif

size_t ranks(const uint64_t* marks, const uint64_t* ones, size_t blocks, uint32_t* out) {
    uint32_t* to = out;
    uint32_t before = 0;
    for (size_t b = 0; b < blocks; ++b) {
        for (uint64_t bits = marks[b]; bits != 0; bits &= bits - 1) {
            const uint64_t below = (bits & -bits) - 1;
            *to++ = before + static_cast<uint32_t>(__builtin_popcountll(ones[b] & below));
        }
        before += static_cast<uint32_t>(__builtin_popcountll(ones[b]));
    }
    return static_cast<size_t>(to - out);
}

size_t find_byte(const uint8_t* text, size_t blocks, uint8_t byte, uint32_t base, uint32_t* out) {
    uint64_t masks[kFindBlocks];
    uint32_t before[kFindBlocks + 1];
    for (size_t b = 0; b < blocks; ++b) masks[b] = Bytes64::load(text + 64 * b).equal(byte);
    return positions(masks, blocks, base, out, before);
}

// The first `size` of 128 readable bytes. Without a branch on the size, which nobody could predict: what lies beyond is masked.
uint64_t hash_piece(const uint8_t* bytes, size_t size, const uint32_t* keys) {
    struct Ones {
        uint8_t bytes[256];
        constexpr Ones() : bytes() {
            for (int i = 0; i < 128; ++i) bytes[i] = 0xFF;
        }
    };
    static constexpr Ones kOnes;
    uint32_t words[32], kept[32];
    __builtin_memcpy(words, bytes, 128);
    __builtin_memcpy(kept, kOnes.bytes + 128 - size, 128);
    uint64_t sum = 0;
    for (int i = 0; i < 16; ++i) {
        const uint32_t a = (words[i] & kept[i]) + keys[i], b = (words[i + 16] & kept[i + 16]) + keys[i + 16];
        sum += static_cast<uint64_t>(a) * b;
    }
    return sum;
}

void hash_spans(const uint8_t* text, size_t size, const uint32_t* begins, const uint32_t* ends, size_t spans,
                const SpanKeys& keys, uint64_t* hashes) {
    for (size_t i = 0; i < spans; ++i) {
        size_t at = begins[i];
        const size_t end = ends[i];
        uint64_t hash = end - at;
        do {
            const size_t piece = end - at < 128 ? end - at : 128;
            uint64_t sum;
            if (at + 128 <= size) {
                sum = hash_piece(text + at, piece, keys.words);
            } else {
                uint8_t last[128] = {};
                __builtin_memcpy(last, text + at, piece);
                sum = hash_piece(last, piece, keys.words);
            }
            const unsigned __int128 product = static_cast<unsigned __int128>(sum ^ hash) * keys.chain;
            hash = static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
            at += piece;
        } while (at < end);
        hashes[i] = hash;
    }
}

// Eight tables, since equal bytes near each other would wait for one counter; added at the end. Below the threshold (a
// heuristic) clearing and adding them costs more than the waiting.
void count_bytes(const uint8_t* text, size_t size, uint32_t counts[256]) {
    size_t i = 0;
    if (size >= 2048) {
        uint32_t table[8][256] = {};
        for (; i + 8 <= size; i += 8) {
            uint64_t eight;
            __builtin_memcpy(&eight, text + i, 8);
            for (int lane = 0; lane < 8; ++lane) ++table[lane][eight >> 8 * lane & 255];
        }
        for (int byte = 0; byte < 128; ++byte)
            for (int lane = 0; lane < 8; ++lane) counts[byte] += table[lane][byte];
    }
    for (; i < size; ++i) ++counts[text[i]];
}
