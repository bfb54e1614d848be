#include "arrays.hpp"
#include "gil.hpp"
#include "registry.hpp"
#include "simulation.hpp"

namespace textassay::bindings {

namespace {

template <typename T>
using Column = py::array_t<T, py::array::c_style>;

void check_words(const Column<uint32_t>& words, uint64_t n_words) {
    const uint32_t* word = words.data();
    for (py::ssize_t i = 0; i < words.size(); ++i)
        if (word[i] >= n_words || word[i] == simulation::kBegin)
            throw std::invalid_argument("words, element " + std::to_string(i) + ": wanted a word's number below " + std::to_string(n_words));
}

void check_bits(unsigned bits) {
    if (bits < 2 || bits > simulation::kMaxWordBits) throw std::invalid_argument("bits: wanted 2 to 21");
}

// Offsets that ascend from 0 on to `size`.
template <typename T>
const T* checked_offsets(const Column<T>& offsets, size_t n, uint64_t size, const char* name) {
    const T* offset = column(offsets, n, name);
    bool ascend = n > 0 && offset[0] == 0 && static_cast<uint64_t>(offset[n - 1]) == size;
    for (size_t i = 1; ascend && i < n; ++i) ascend = offset[i - 1] <= offset[i];
    if (!ascend) throw std::invalid_argument(std::string(name) + ": wanted ascending offsets from 0 to " + std::to_string(size));
    return offset;
}

py::tuple count_trigrams(const Column<uint32_t>& words, unsigned bits, uint32_t first_begin, uint32_t first_end) {
    check_bits(bits);
    if (words.ndim() != 1) throw std::invalid_argument("words: wanted a 1-D array");
    if (first_begin > first_end || first_end > uint32_t{1} << bits) throw std::invalid_argument("first words: wanted an ascending range");
    simulation::Trigrams found;
    {
        const GilRelease release;
        check_words(words, uint64_t{1} << bits);
        found = simulation::count_trigrams(words.data(), static_cast<size_t>(words.size()), bits, first_begin, first_end);
    }
    return py::make_tuple(to_array(std::move(found.keys)), to_array(std::move(found.counts)));
}

simulation::Bigrams bigrams_of(const Column<int64_t>& begin, const Column<uint32_t>& last) {
    if (begin.ndim() != 1 || begin.size() < 4 || begin.size() > (py::ssize_t{1} << simulation::kMaxWordBits) + 1)
        throw std::invalid_argument("bigram_begin: wanted 4 to 2^21 + 1 elements");
    if (last.ndim() != 1 || static_cast<uint64_t>(last.size()) > UINT32_MAX) throw std::invalid_argument("bigram_last: wanted a 1-D array of less than 2^32 elements");
    const auto n = static_cast<size_t>(begin.size());
    return {checked_offsets(begin, n, static_cast<uint64_t>(last.size()), "bigram_begin"), last.data(), static_cast<uint32_t>(n - 1)};
}

Column<uint32_t> find_last_bigrams(const Column<uint64_t>& keys, unsigned bits, const Column<int64_t>& begin, const Column<uint32_t>& last) {
    check_bits(bits);
    if (keys.ndim() != 1) throw std::invalid_argument("keys: wanted a 1-D array");
    const simulation::Bigrams bigrams = bigrams_of(begin, last);
    const auto size = static_cast<size_t>(keys.size());
    Column<uint32_t> places(keys.size());
    uint32_t* const out = places.mutable_data();
    const uint64_t* const key = keys.data();
    const GilRelease release;
    for (size_t i = 0; i < size; ++i)
        if ((key[i] >> bits & ((uint64_t{1} << bits) - 1)) >= bigrams.n_words) throw std::invalid_argument("keys: wanted words that are known");
    simulation::find_last_bigrams(key, size, bits, bigrams, out);
    return places;
}

// A model's arrays, checked once: whatever the numbers in them are, no draw leaves them.
class Sampler {
   public:
    explicit Sampler(const py::dict& arrays, uint64_t longest) : arrays_(arrays) {
        const auto last = section<uint32_t>("bigram_last");
        model_.bigrams = bigrams_of(section<int64_t>("bigram_begin"), last);
        const auto n_bigrams = static_cast<size_t>(last.size()), n_words = static_cast<size_t>(model_.bigrams.n_words);
        model_.bigram_limits = column(section<uint32_t>("bigram_limits"), n_bigrams, "bigram_limits");
        const auto trigram_last = section<uint32_t>("trigram_last");
        const auto n_trigrams = static_cast<size_t>(trigram_last.size());
        model_.trigram_last = trigram_last.data();
        model_.trigram_limits = column(section<uint32_t>("trigram_limits"), n_trigrams, "trigram_limits");
        model_.trigram_begin = checked_offsets(section<int64_t>("trigram_begin"), n_bigrams + 1, n_trigrams, "trigram_begin");
        model_.word_limits = column(section<uint64_t>("word_limits"), n_words, "word_limits");
        const auto sentences = section<uint32_t>("sentences");
        model_.sentences = sentences.data();
        model_.n_documents = static_cast<uint64_t>(sentences.size());
        model_.longest = longest;
        if (sentences.size() == 0 || longest == 0) throw std::invalid_argument("sentences, longest: wanted documents, and words in their sentences");
        if (model_.word_limits[n_words - 1] >> 53 != 1) throw std::invalid_argument("word_limits: wanted 2^53 at the end");
        if (model_.word_limits[simulation::kEnd] == model_.word_limits[n_words - 1])
            throw std::invalid_argument("word_limits: wanted a word besides the ends of sentences");
        if (model_.word_limits[simulation::kBegin] != 0) throw std::invalid_argument("word_limits: wanted 0 for <s>");
        check_places(trigram_last, n_bigrams, "trigram_last");
        check_places(last, n_words, "bigram_last");
        // Or a sentence might never begin.
        const simulation::Bigrams& bigrams = model_.bigrams;
        const int64_t end = bigrams.begin[simulation::kBegin + 1];
        if (bigrams.find(simulation::kBegin, simulation::kEnd, bigrams.begin[simulation::kBegin]) != end)
            throw std::invalid_argument("bigram_last: wanted no sentence without words");
    }

    py::tuple sample(uint64_t seed, uint64_t first, uint64_t n) const {
        std::vector<uint32_t> words;
        std::vector<int64_t> offsets{0};
        {
            const GilRelease release;
            for (uint64_t i = 0; i < n; ++i) {
                simulation::sample_document(model_, seed, first + i, words);
                offsets.push_back(static_cast<int64_t>(words.size()));
            }
        }
        return py::make_tuple(to_array(std::move(words)), to_array(std::move(offsets)));
    }

   private:
    template <typename T>
    Column<T> section(const char* name) const {
        const py::object array = arrays_[name];
        if (!py::isinstance<Column<T>>(array)) throw std::invalid_argument(std::string(name) + ": wanted a C-contiguous array of another type");
        return py::reinterpret_borrow<Column<T>>(array);
    }

    static void check_places(const Column<uint32_t>& places, size_t end, const char* name) {
        const uint32_t* place = places.data();
        for (py::ssize_t i = 0; i < places.size(); ++i)
            if (place[i] >= end) throw std::invalid_argument(std::string(name) + ": wanted numbers below " + std::to_string(end));
    }

    simulation::Model model_{};
    py::dict arrays_;  // what the model looks into
};

py::dict measure_documents(const Column<uint32_t>& words, const Column<int64_t>& offsets, uint64_t n_words) {
    if (words.ndim() != 1 || offsets.ndim() != 1) throw std::invalid_argument("words, offsets: wanted 1-D arrays");
    if (n_words > uint64_t{1} << simulation::kMaxWordBits) throw std::invalid_argument("n_words: wanted at most 2^21");
    const auto n = static_cast<size_t>(offsets.size());
    const int64_t* offset = checked_offsets(offsets, n, static_cast<uint64_t>(words.size()), "offsets");
    std::vector<int64_t> tokens, types, sentences;
    std::vector<double> entropy, mattr, burstiness;
    {
        const GilRelease release;
        check_words(words, n_words);
        simulation::DocumentMeter meter(n_words);
        for (size_t i = 0; i + 1 < n; ++i) {
            const simulation::DocumentFigures found = meter.measure(words.data() + offset[i], static_cast<size_t>(offset[i + 1] - offset[i]));
            tokens.push_back(found.tokens);
            types.push_back(found.types);
            sentences.push_back(found.sentences);
            entropy.push_back(found.entropy_bits);
            mattr.push_back(found.mattr);
            burstiness.push_back(found.burstiness);
        }
    }
    py::dict columns;
    columns["n_tokens"] = to_array(std::move(tokens));
    columns["n_types"] = to_array(std::move(types));
    columns["n_sentences"] = to_array(std::move(sentences));
    columns["entropy_bits"] = to_array(std::move(entropy));
    columns["mattr"] = to_array(std::move(mattr));
    columns["burstiness"] = to_array(std::move(burstiness));
    return columns;
}

}  // namespace

void register_simulation(py::module_& module) {
    module.def("count_trigrams", &count_trigrams, py::arg("words"), py::arg("bits"), py::arg("first_begin"), py::arg("first_end"));
    module.def("find_last_bigrams", &find_last_bigrams, py::arg("keys"), py::arg("bits"), py::arg("bigram_begin"), py::arg("bigram_last"));
    py::class_<Sampler>(module, "Sampler")
        .def(py::init<const py::dict&, uint64_t>(), py::arg("arrays"), py::kw_only(), py::arg("longest"))
        .def("sample", &Sampler::sample, py::arg("seed"), py::arg("first"), py::arg("n"));
    module.def("measure_documents", &measure_documents, py::arg("words"), py::arg("offsets"), py::arg("n_words"));
}

}  // namespace textassay::bindings
