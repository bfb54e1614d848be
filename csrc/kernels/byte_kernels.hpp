// Kernels: bytes, 64 at a time, into bit masks; masks into positions; look-ups in large tables. One set per instruction set,
// chosen once at run time. Pointers and lengths in; nothing allocated, nothing thrown.
#pragma once

#include <cstddef>
#include <cstdint>

namespace textassay::kernels {

// A chunk of text is up to 64 blocks of 64 bytes.
inline constexpr size_t kChunkBlocks = 64;
inline constexpr size_t kChunkBytes = 64 * kChunkBlocks;

// One kind of byte: bit i of row[1 + b] stands for byte i of block b. row[0] tells of what comes before the chunk, its last byte at
// bit 63; the element behind the last block of what comes behind. The rest is room for kernels that take eight blocks at a time.
using MaskRow = uint64_t[1 + kChunkBlocks + 8];

//   text           I t ' s   3 . 5   a _ b .
//   letter         1 1 . 1 . . . . . 1 . 1 .     A-Z a-z
//   number         . . . . . 1 . 1 . . . . .     0-9
//   connector      . . . . . . . . . . 1 . .     _
//   mid_letter     . . 1 . . . 1 . . . . . 1     : . '     joins two letters
//   mid_number     . . 1 . . . 1 . . . . . 1     , ; . '   joins two numbers
//   high           non-ASCII bytes: in no other mask
//   stop           . . . . . . 1 . . . . . 1     . ! ? LF CR: a sentence may end
// and for the ends of sentences: lower (a-z), visible (ASCII above space), space, comma, dot, shout (! ?), close (" ' ( )),
// line_feed, return_ (CR)
struct ByteMasks {
    MaskRow letter, number, connector, mid_letter, mid_number, high;
    MaskRow stop, lower, visible, space, comma, dot, shout, close, line_feed, return_;
};

// Words by shifts:
//
//   text           I t ' s   3 . 5   a _ b .
//   live_connector . . . . . . . . . . 1 . .     of a word
//   joined         1 1 1 1 . 1 1 1 . 1 1 1 .     letters, numbers, live connectors, and marks between two of a kind
//   start          1 . . . . 1 . . . 1 . . .
//   end            . . . . 1 . . . 1 . . . 1
//
// Katakana joins only Katakana and connectors; a Single (ideograph, Hiragana, Thai) is a word of its own.
struct WordMasks {
    MaskRow katakana, single, single_start, live_connector;  // in
    MaskRow joined, word, start, end;                        // out
};

// Stops that end a sentence at once (hard), behind a space, or behind a mark and a space; and those that need the rules.
struct SentenceMasks {
    MaskRow hard, spaced, closed, undecided;
    MaskRow boundary;  // of the first three, where they are
};

// The random keys of a hash of spans (NH: Black, Halevi, Krawczyk, Krovetz, Rogaway 1999): 32 bits each, and an odd 64-bit one.
struct SpanKeys {
    uint32_t words[32];
    uint64_t chain;
};

// Equal bytes near each other would wait for one counter.
inline constexpr size_t kCounterLanes = 4;
using ByteCounters = uint32_t[kCounterLanes][256];

struct KernelSet {
    const char* name;

    // Fills the rows of blocks [first, first + blocks) from 64 * blocks bytes at `text`, and writes those bytes to `folded` with
    // A-Z in lower case. Returns whether any byte was non-ASCII.
    bool (*classify)(const uint8_t* text, size_t first, size_t blocks, ByteMasks& masks, uint8_t* folded);

    // Words of a chunk; masks.letter and number hold non-ASCII characters as well.
    void (*find_words)(const ByteMasks& masks, size_t blocks, WordMasks& words);

    // Sentence ends of a chunk. Of what is before and behind the chunk nothing is known.
    void (*find_sentence_ends)(const ByteMasks& masks, size_t blocks, SentenceMasks& sentences);

    // Appends `base + i` for each set bit i of the masks taken as one long bit string; returns how many. Writes up to 64
    // elements beyond the last. `before[b]` becomes the number of set bits in masks[0, b), for b in [0, blocks].
    size_t (*positions)(const uint64_t* masks, size_t blocks, uint32_t base, uint32_t* out, uint32_t* before);

    // For each set bit of `marks`, the number of set bits of `ones` before it; both taken as one long bit string. Returns how
    // many. Writes up to 4 elements beyond the last.
    size_t (*ranks)(const uint64_t* marks, const uint64_t* ones, size_t blocks, uint32_t* out);

    // Appends `base + i` for each text[i] == byte, i in [0, 64 * blocks), blocks at most kChunkBlocks; returns how many. Writes
    // up to 64 elements beyond the last.
    size_t (*find_byte)(const uint8_t* text, size_t blocks, uint8_t byte, uint32_t base, uint32_t* out);

    // hashes[i] of text[begins[i], ends[i]), which lie within text[0, size).
    void (*hash_spans)(const uint8_t* text, size_t size, const uint32_t* begins, const uint32_t* ends, size_t spans,
                       const SpanKeys& keys, uint64_t* hashes);

    // Adds the occurrences of each ASCII byte in 64 * blocks bytes at `text` to some of its counters; bytes beyond ASCII count
    // nowhere or above 127. Their sum over the lanes is the count.
    void (*count_bytes)(const uint8_t* text, size_t blocks, ByteCounters& counters);

    // found[i]: the entry whose upper kTagBits are those of hashes[i], or 0. Look-ups begin in bucket_of(hashes[i]) of eight entries,
    // filled from the front, and go on in the next one where it is full.
    void (*find_entries)(const uint64_t* table, uint64_t buckets, const uint64_t* hashes, size_t size, uint64_t* found);
};

inline constexpr int kTagBits = 28;

// By the lower half of the hash: any number of buckets below 2^32 will do, so that tables are as full as they should be.
inline uint64_t bucket_of(uint64_t hash, uint64_t buckets) { return (hash & 0xFFFFFFFF) * buckets >> 32; }

// The set in use: the best one that this machine runs, or the one that TEXTASSAY_KERNELS names.
// Throws std::invalid_argument (on every call) if that name is unknown or not supported here.
const KernelSet& active();

// Forces a set for the whole process. Throws std::invalid_argument as active() does.
void use(const char* name);

// Sets this machine can run, best first; ends with a null pointer.
const KernelSet* const* available();

}  // namespace textassay::kernels
