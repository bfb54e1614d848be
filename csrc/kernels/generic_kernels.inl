// The algorithms, written once over a vector type `Bytes64` that the including file defines:
//   Bytes64 load(const uint8_t*); void store(uint8_t*) const;
//   uint64_t equal(uint8_t) const; uint64_t at_most(uint8_t) const (unsigned); uint64_t high() const;
//   Bytes64 minus(uint8_t) const; Bytes64 lower_case() const.
// Included inside an unnamed namespace: an ISA file must leave no weak symbol behind, or the linker may hand its
// instructions to the rest of the program.

bool classify(const uint8_t* text, size_t first, size_t blocks, ByteMasks& masks, uint8_t* folded) {
    uint64_t any_high = 0;
    for (size_t b = 0; b < blocks; ++b) {
        const Bytes64 bytes = Bytes64::load(text + 64 * b);
        const Bytes64 lower = bytes.lower_case();
        lower.store(folded + 64 * b);
        const size_t row = 1 + first + b;
        const uint64_t quote = bytes.equal('\''), dot = bytes.equal('.'), comma = bytes.equal(','), high = bytes.high();
        const uint64_t shout = bytes.equal('!') | bytes.equal('?');
        const uint64_t line_feed = bytes.equal('\n'), return_ = bytes.equal('\r');
        masks.high[row] = high;
        const uint64_t small = bytes.minus('a').at_most(25);
        masks.letter[row] = small | bytes.minus('A').at_most(25);
        masks.number[row] = bytes.minus('0').at_most(9);
        masks.connector[row] = bytes.equal('_');
        masks.dot[row] = dot;
        masks.comma[row] = comma;
        masks.mid_letter[row] = dot | quote | bytes.equal(':');
        masks.mid_number[row] = dot | quote | comma | bytes.equal(';');
        masks.shout[row] = shout;
        masks.close[row] = quote | bytes.equal('"') | bytes.minus('(').at_most(1);
        masks.line_feed[row] = line_feed;
        masks.return_[row] = return_;
        masks.stop[row] = dot | shout | line_feed | return_;
        masks.lower[row] = small;
        masks.space[row] = bytes.equal(' ');
        masks.visible[row] = ~(bytes.at_most(' ') | high);
        any_high |= high;
    }
    return any_high != 0;
}

// Eight blocks of a row at once, in whatever registers there are. (The compiler's own loop vectoriser gives up on sentences.) What
// is computed for blocks behind the last is nobody's.
typedef uint64_t Blocks __attribute__((vector_size(64), aligned(8), may_alias));
#define AT(row, b) (*reinterpret_cast<const Blocks*>(&(row)[b]))
#define SET(row, b, value) (*reinterpret_cast<Blocks*>(&(row)[b]) = (value))
// The bit of the byte before, of the byte behind.
#define LEFT(row) (AT(row, b) << 1 | AT(row, b - 1) >> 63)
#define RIGHT(row) (AT(row, b) >> 1 | AT(row, b + 1) << 63)
#define BEHIND(row, distance) (AT(row, b) >> (distance) | AT(row, b + 1) << (64 - (distance)))

void find_words(const ByteMasks& masks, size_t blocks, WordMasks& words) {
    const MaskRow &letter = masks.letter, &number = masks.number;
    const MaskRow &katakana = words.katakana, &single = words.single, &live_connector = words.live_connector;
    MaskRow& joined = words.joined;
    for (size_t b = 1; b <= blocks; b += 8) {
        const Blocks inner = (AT(masks.mid_letter, b) & LEFT(letter) & RIGHT(letter)) |
                             (AT(masks.mid_number, b) & LEFT(number) & RIGHT(number));
        SET(joined, b, AT(letter, b) | AT(number, b) | AT(live_connector, b) | inner);
    }
    for (size_t b = 1; b <= blocks; b += 8) {
        const Blocks katakana_joined = AT(katakana, b) | AT(live_connector, b);
        const Blocks continues = (AT(joined, b) & LEFT(joined)) | (katakana_joined & (LEFT(katakana) | LEFT(live_connector))) |
                                 (AT(single, b) & ~AT(words.single_start, b));
        const Blocks word = AT(joined, b) | AT(katakana, b) | AT(single, b);
        SET(words.word, b, word);
        SET(words.start, b, word & ~continues);
        SET(words.end, b, (LEFT(joined) | LEFT(katakana) | LEFT(single)) & ~continues);
    }
}

// Nearly all of English is decided by the few bytes behind a stop: line breaks between words, terminators before " A" or " a". With
// n for LF:
//
//   text       e n d .   H e   s a i d n s o n N o ! "   S o
//   hard       . . . . . . . . . . . . . . . 1 . . . . . . .     LF: no space, so a boundary behind it (SB4)
//   nothing    . . . . . . . . . . . . 1 . . . . . . . . . .     a lone LF before (spaces and) a-z is a space; "3.5", "a.b", ".,"
//   spaced     . . . 1 . . . . . . . . . . . . . . . . . . .     a boundary behind the space (SB11)
//   closed     . . . . . . . . . . . . . . . . . . 1 . . . .     a boundary behind the mark and the space
void find_sentence_ends(const ByteMasks& masks, size_t blocks, SentenceMasks& sentences) {
    for (size_t b = 1; b <= blocks; b += 8) {
        const Blocks dot = AT(masks.dot, b), shout = AT(masks.shout, b), space = AT(masks.space, b);
        const Blocks line_feed = AT(masks.line_feed, b), return_ = AT(masks.return_, b);
        const Blocks visible_1 = BEHIND(masks.visible, 1), lower_1 = BEHIND(masks.lower, 1), lower_2 = BEHIND(masks.lower, 2);
        // ASCII only: letters and numbers beyond ASCII have been labelled meanwhile, but are not visible.
        const Blocks letter_2 = BEHIND(masks.letter, 2) & BEHIND(masks.visible, 2);
        const Blocks letter_3 = BEHIND(masks.letter, 3) & BEHIND(masks.visible, 3), lower_3 = BEHIND(masks.lower, 3);
        const Blocks upper_2 = letter_2 & ~lower_2, upper_3 = letter_3 & ~lower_3;

        // What a line begins with, behind up to 15 spaces in this block: a lowercase letter, or another visible byte or break.
        const Blocks other_here = (AT(masks.visible, b) & ~AT(masks.lower, b)) | line_feed | return_;
        const Blocks other_next = (AT(masks.visible, b + 1) & ~AT(masks.lower, b + 1)) | AT(masks.line_feed, b + 1) | AT(masks.return_, b + 1);
        Blocks lower = AT(masks.lower, b), other = other_here, spaces = space;
        for (int step = 1; step <= 8; step *= 2) {
            lower |= spaces & lower >> step;
            other |= spaces & other >> step;
            spaces &= spaces >> step;
        }
#define LOWER(distance) (lower >> (distance) | AT(masks.lower, b + 1) << (64 - (distance)))
#define OTHER(distance) (other >> (distance) | other_next << (64 - (distance)))

        // CR LF is one break, and its LF answers.
        const Blocks after_return = LEFT(masks.return_);
        const Blocks two_before = (line_feed | return_) << 2 | (AT(masks.line_feed, b - 1) | AT(masks.return_, b - 1)) >> 62;
        const Blocks before_break = (after_return & two_before) | (~after_return & LEFT(masks.line_feed));
        const Blocks wrapped = line_feed & ~before_break & LOWER(1);
        const Blocks hard = line_feed & (before_break | OTHER(1));
        const Blocks return_of_pair = return_ & BEHIND(masks.line_feed, 1);

        // Behind a break, a lowercase letter makes it a space and goes on with the sentence (SB8, after "." only); a space
        // or a character beyond ASCII may, and must ask; all else lets the break end the sentence itself.
        const Blocks pair_1 = BEHIND(masks.return_, 1) & BEHIND(masks.line_feed, 2);
        const Blocks pair_2 = BEHIND(masks.return_, 2) & BEHIND(masks.line_feed, 3);
        const Blocks shout_break_1 = (BEHIND(masks.line_feed, 1) & OTHER(2)) | (pair_1 & OTHER(3));
        const Blocks shout_break_2 = (BEHIND(masks.line_feed, 2) & OTHER(3)) | (pair_2 & OTHER(4));
        const Blocks dot_break_1 = shout_break_1 | (BEHIND(masks.line_feed, 1) & LOWER(2)) | (pair_1 & LOWER(3));
        const Blocks dot_break_2 = shout_break_2 | (BEHIND(masks.line_feed, 2) & LOWER(3)) | (pair_2 & LOWER(4));

        const Blocks close_1 = BEHIND(masks.close, 1), space_1 = BEHIND(masks.space, 1), space_2 = BEHIND(masks.space, 2);
        const Blocks stop_1 = BEHIND(masks.dot, 1) | BEHIND(masks.shout, 1), stop_2 = BEHIND(masks.dot, 2) | BEHIND(masks.shout, 2);
        const Blocks closed_space = close_1 & space_2, closed_behind_space = space_1 & BEHIND(masks.close, 2);
        const Blocks both = BEHIND(masks.comma, 1) | stop_1 | (space_1 & stop_2);  // SB8a
        const Blocks number_1 = BEHIND(masks.number, 1) & visible_1;
        const Blocks dot_nothing = both | lower_1 | number_1 | (space_1 & lower_2) | (closed_space & lower_3) | dot_break_1 |
                                   (close_1 & dot_break_2);
        const Blocks shout_nothing = both | shout_break_1 | (close_1 & shout_break_2);
        const Blocks nothing = wrapped | return_of_pair | (dot & dot_nothing) | (shout & shout_nothing);
        const Blocks spaced = (dot & ((space_1 & upper_2) | (closed_behind_space & upper_3))) |
                              (shout & ((space_1 & letter_2) | (closed_behind_space & letter_3)));
        const Blocks two_behind = closed_space | (space_1 & space_2);
        const Blocks closed = two_behind & ((dot & upper_3) | (shout & letter_3));
        SET(sentences.hard, b, hard);
        SET(sentences.spaced, b, spaced);
        SET(sentences.closed, b, closed);
        SET(sentences.undecided, b, AT(masks.stop, b) & ~(hard | nothing | spaced | closed));
    }
#undef LOWER
#undef OTHER
    // The first two line feeds don't see what is before them.
    const uint64_t unseen = masks.line_feed[1] & 3;
    sentences.hard[1] &= ~unseen;
    sentences.undecided[1] |= unseen;
    sentences.hard[0] = sentences.spaced[0] = sentences.closed[0] = 0;
    sentences.hard[blocks + 1] = sentences.spaced[blocks + 1] = sentences.closed[blocks + 1] = 0;
    for (size_t b = 1; b <= blocks + 1; b += 8)
        SET(sentences.boundary, b, LEFT(sentences.hard) | AT(sentences.spaced, b) << 2 | AT(sentences.spaced, b - 1) >> 62 |
                                       AT(sentences.closed, b) << 3 | AT(sentences.closed, b - 1) >> 61);
}

#undef AT
#undef SET
#undef LEFT
#undef RIGHT
#undef BEHIND

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

// Four at a time without asking how many there are, as positions().
size_t ranks(const uint64_t* marks, const uint64_t* ones, size_t blocks, uint32_t* out) {
    size_t total = 0;
    uint32_t before = 0;
    for (size_t b = 0; b < blocks; ++b) {
        uint64_t bits = marks[b];
        const size_t count = static_cast<size_t>(__builtin_popcountll(bits));
        uint32_t* to = out + total;
        for (size_t done = 0; done < count; done += 4, to += 4) {
            for (int i = 0; i < 4; ++i) {
                to[i] = before + static_cast<uint32_t>(__builtin_popcountll(ones[b] & (bits ^ (bits - 1)) >> 1));
                bits &= bits - 1;
            }
        }
        total += count;
        before += static_cast<uint32_t>(__builtin_popcountll(ones[b]));
    }
    return total;
}

size_t find_byte(const uint8_t* text, size_t blocks, uint8_t byte, uint32_t base, uint32_t* out) {
    uint64_t masks[kChunkBlocks];
    uint32_t before[kChunkBlocks + 1];
    for (size_t b = 0; b < blocks; ++b) masks[b] = Bytes64::load(text + 64 * b).equal(byte);
    return positions(masks, blocks, base, out, before);
}

#ifndef TEXTASSAY_OWN_HASH_PIECE
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
#endif

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

#ifndef TEXTASSAY_OWN_COUNT_BYTES
void count_bytes(const uint8_t* text, size_t blocks, ByteCounters& counters) {
    for (size_t i = 0; i < 64 * blocks; i += 8) {
        uint64_t eight;
        __builtin_memcpy(&eight, text + i, 8);
        for (size_t lane = 0; lane < 8; ++lane) ++counters[lane % kCounterLanes][eight >> 8 * lane & 255];
    }
}
#endif

#ifndef TEXTASSAY_OWN_EQUAL_TAGS
// Bit i for entry i of the bucket.
uint32_t equal_tags(const uint64_t* bucket, uint64_t tag) {
    uint32_t bits = 0;
    for (unsigned i = 0; i < 8; ++i) bits |= static_cast<uint32_t>(bucket[i] >> (64 - kTagBits) == tag) << i;
    return bits;
}
#endif

// The tables are far larger than any cache: what counts is how many look-ups wait for memory at the same time.
void find_entries(const uint64_t* table, uint64_t buckets, const uint64_t* hashes, size_t size, uint64_t* found) {
    constexpr size_t kAhead = 24;
    const auto first = [&](size_t i) { return (hashes[i] & 0xFFFFFFFF) * buckets >> 32; };
    for (size_t i = 0; i < kAhead && i < size; ++i) __builtin_prefetch(table + 8 * first(i));
    for (size_t i = 0; i < size; ++i) {
        if (i + kAhead < size) __builtin_prefetch(table + 8 * first(i + kAhead));
        const uint64_t tag = hashes[i] >> (64 - kTagBits);
        uint64_t bucket = first(i), entry = 0;
        for (uint64_t seen = 0; seen < buckets; ++seen) {
            const uint64_t* const entries = table + 8 * bucket;
            const uint32_t equal = equal_tags(entries, tag);
            // The first of the equal ones; without a branch on whether there is one, which nobody could predict.
            entry = entries[__builtin_ctz(equal | 0x80)] & (uint64_t{0} - (equal != 0));
            if (equal != 0 || entries[7] == 0) break;
            bucket = bucket + 1 == buckets ? 0 : bucket + 1;
        }
        found[i] = entry;
    }
}
