#include <unistd.h>

#include <algorithm>
#include <mutex>
#include <optional>

#include "arrays.hpp"
#include "gil.hpp"
#include "profile_state.hpp"
#include "provenance_arrays.hpp"
#include "python_rows.hpp"
#include "registry.hpp"
#include "scan.hpp"

#include <pybind11/stl.h>

namespace textassay::bindings {

namespace {

Stage stage_named(const std::string& name) {
    static constexpr std::pair<const char*, Stage> kStages[] = {{"decompress", Stage::kDecompress},
                                                                {"json", Stage::kJson},
                                                                {"words", Stage::kWords},
                                                                {"signals", Stage::kSignals},
                                                                {"histogram", Stage::kHistogram}};
    for (const auto& [known, stage] : kStages)
        if (name == known) return stage;
    throw std::invalid_argument("stage: wanted decompress, json, words, signals or histogram, got \"" + name + "\"");
}

Malformed reason_named(const std::string& name) {
    for (size_t i = 1; i < static_cast<size_t>(Malformed::kReasons); ++i)
        if (name == name_of(static_cast<Malformed>(i))) return static_cast<Malformed>(i);
    throw std::invalid_argument("malformed_by_reason: found \"" + name + "\", which is no reason");
}

constexpr std::pair<const char*, uint64_t Account::*> kAccount[] = {
    {"bytes_parsed", &Account::parsed},    {"bytes_malformed", &Account::malformed}, {"bytes_blank", &Account::blank},
    {"bytes_too_long", &Account::too_long}, {"lines", &Account::lines},               {"documents", &Account::documents}};

// Numbers of malformed records by reason; returns their sum.
uint64_t put_account(const Account& account, py::dict& dict) {
    py::dict by_reason;
    uint64_t malformed = 0;
    for (size_t i = 1; i < account.records_by_reason.size(); ++i) {
        const uint64_t records = account.records_by_reason[i];
        malformed += records;
        if (records > 0) by_reason[name_of(static_cast<Malformed>(i))] = records;
    }
    for (const auto& [name, member] : kAccount) dict[name] = account.*member;
    dict["malformed_by_reason"] = by_reason;
    return malformed;
}

constexpr std::pair<const char*, uint64_t FileState::*> kState[] = {{"begin", &FileState::begin}, {"begin_line", &FileState::begin_line},
                                                                    {"end", &FileState::end},     {"batch", &FileState::batch},
                                                                    {"first_document", &FileState::first_document}};

py::dict to_dict(const FileState& state) {
    py::dict dict;
    dict["format"] = state.format;
    dict["compressed"] = state.from.compressed;
    dict["uncompressed"] = state.from.bytes;
    dict["frames"] = state.from.frames.frames;
    dict["frames_without_checksum"] = state.from.frames.without_checksum;
    for (const auto& [name, member] : kState) dict[name] = state.*member;
    put_account(state.account, dict);
    return dict;
}

FileState state_of(const py::dict& dict) {
    FileState state;
    state.format = dict["format"].cast<std::string>();
    state.from.compressed = dict["compressed"].cast<uint64_t>();
    state.from.bytes = dict["uncompressed"].cast<uint64_t>();
    state.from.frames.frames = dict["frames"].cast<uint64_t>();
    state.from.frames.without_checksum = dict["frames_without_checksum"].cast<uint64_t>();
    for (const auto& [name, member] : kState) state.*member = dict[name].cast<uint64_t>();
    for (const auto& [name, member] : kAccount) state.account.*member = dict[name].cast<uint64_t>();
    for (const auto& [name, records] : dict["malformed_by_reason"].cast<py::dict>())
        state.account.records_by_reason[static_cast<size_t>(reason_named(name.cast<std::string>()))] = records.cast<uint64_t>();
    if (state.from.bytes > state.begin || state.begin > state.end || state.begin_line > state.account.lines)
        throw std::invalid_argument("begun: wanted uncompressed <= begin <= end and begin_line <= lines");
    return state;
}

std::vector<ScanSource> sources_of(const py::sequence& paths, const ScanConfig& config, const py::dict& begun) {
    const size_t n_values = config.provenance ? config.provenance->fields.size() : 0;
    std::vector<ScanSource> sources;
    for (const py::handle path : paths) {
        ScanSource source;
        if (py::isinstance<py::int_>(path)) {
            source.name.descriptor = path.cast<int>();
        } else if (py::hasattr(path, "read")) {
            source.rows = python_row_reader(py::reinterpret_borrow<py::object>(path), config.text_fields.size() + 1 + n_values);
        } else {
            source.name.path = path.cast<py::bytes>();
        }
        sources.push_back(std::move(source));
    }
    for (const auto& [index, state] : begun) {
        ScanSource& source = sources.at(index.cast<size_t>());
        source.is_done = state.is_none();
        if (!source.is_done) source.state = state_of(state.cast<py::dict>());
    }
    return sources;
}

py::dict to_dict(const FileOutcome& outcome) {
    static constexpr const char* kStatus[] = {"ok", "damaged", "unreadable"};
    py::dict dict;
    dict["status"] = kStatus[static_cast<size_t>(outcome.status)];
    dict["reason"] = outcome.reason;
    dict["format"] = outcome.format;
    dict["byte_offset"] = outcome.bytes;
    dict["compressed_offset"] = outcome.compressed_offset;
    dict["bytes_compressed"] = outcome.bytes_compressed;
    dict["bytes"] = outcome.bytes;
    dict["bytes_lost"] = outcome.bytes_lost;
    dict["frames"] = outcome.frames.frames;
    dict["frames_without_checksum"] = outcome.frames.without_checksum;
    dict["malformed"] = put_account(outcome.account, dict);
    return dict;
}

py::dict to_dict(ScanEvent&& event, const MeasureConfig& config) {
    py::dict dict;
    dict["file"] = event.file;
    if (event.documents) dict["documents"] = bindings::to_dict(std::move(*event.documents), config, true);
    if (!event.errors.empty()) {
        py::list errors;
        for (const RecordError& error : event.errors)
            errors.append(py::make_tuple(error.line, error.byte_offset, name_of(error.reason)));
        dict["errors"] = errors;
    }
    if (!event.batches.empty()) dict["batches"] = bindings::to_dict(event.batches);
    if (event.outcome) dict["outcome"] = to_dict(*event.outcome);
    return dict;
}

struct PythonScan {
    MeasureConfig config;
    std::shared_ptr<Scan> scan;
    std::shared_ptr<ProfileState> profile;  // once asked for

    py::object next(double timeout) {
        ScanEvent event;
        Scan::Next result;
        {
            const GilRelease release;
            result = scan->next(std::chrono::duration<double>(timeout), event);
        }
        if (result == Scan::Next::kTimeout) {
            py::set_error(PyExc_TimeoutError, "no event yet");
            throw py::error_already_set();
        }
        if (result == Scan::Next::kDone) return py::none();
        return to_dict(std::move(event), config);
    }

    ~PythonScan() {
        // Joining its threads may take a moment, and readers of rows and encoders need the GIL.
        const GilRelease release;
        scan.reset();
    }
};

// Scans whose threads call Python: they have to end before the interpreter does, whoever forgot them.
class CallingScans {
   public:
    void add(const std::shared_ptr<Scan>& scan) {
        const std::lock_guard lock(mutex_);
        std::erase_if(scans_, [](const auto& other) { return other.expired(); });
        scans_.push_back(scan);
        process_ = ::getpid();
    }

    void stop() {
        if (process_ != ::getpid()) return;  // a forked child has no threads to join
        const GilRelease release;
        const std::lock_guard lock(mutex_);
        for (const auto& other : scans_)
            if (const auto scan = other.lock()) scan->stop();
    }

   private:
    std::mutex mutex_;
    std::vector<std::weak_ptr<Scan>> scans_;
    pid_t process_ = -1;
};

CallingScans& calling_scans() {
    static CallingScans scans;
    return scans;
}

// A document has two fingerprints for 17 tokens.
constexpr uint64_t kFingerprintShare = 8;

uint8_t* fingerprints_met(const py::object& met, const PythonAnchor* anchor) {
    if (anchor == nullptr || anchor->anchor->fingerprints == nullptr)
        throw std::invalid_argument("met: wanted an anchor with fingerprints");
    if (!py::isinstance<py::array_t<uint8_t, py::array::c_style>>(met)) throw std::invalid_argument("met: wanted a C-contiguous array of uint8");
    auto array = py::reinterpret_borrow<py::array_t<uint8_t, py::array::c_style>>(met);
    column(array, anchor->anchor->n_fingerprints, "met");
    if (!array.writeable()) throw std::invalid_argument("met: wanted an array that can be written to");
    return array.mutable_data();
}

std::unique_ptr<PythonScan> start(const py::sequence& paths, const std::vector<std::string>& signals, const std::string& tokens,
                                  std::vector<FieldPath> text_fields, FieldPath id_field,
                                  const std::vector<std::vector<std::string>>& markers, const PythonAnchor* anchor,
                                  std::shared_ptr<Detector> detector,
                                  const std::optional<std::string>& ngram_folder, uint64_t ngram_memory, const py::object& met, bool words,
                                  uint64_t batch_tokens,
                                  uint64_t max_types, uint64_t max_record_bytes, int max_window_log, unsigned threads,
                                  bool documents, const std::string& stage, const std::optional<py::dict>& provenance,
                                  const py::object& encoder, const py::dict& begun, const std::shared_ptr<ProfileState>& profile) {
    check_limits(batch_tokens, max_types);
    if (max_record_bytes < 1 || max_record_bytes > uint64_t{128} << 20)
        throw std::invalid_argument("max_record_bytes: wanted 1 to 128 MiB, got " + std::to_string(max_record_bytes));
    if (max_window_log < 10 || max_window_log > 31)
        throw std::invalid_argument("max_window_log: wanted 10 to 31, got " + std::to_string(max_window_log));
    if (text_fields.empty()) throw std::invalid_argument("text_fields: wanted at least one");
    if (threads < 1 || threads > 4096) throw std::invalid_argument("threads: wanted 1 to 4096, got " + std::to_string(threads));
    ScanConfig config;
    config.measure = measure_config(signals, tokens, markers, anchor, std::move(detector), encoder);
    if (ngram_folder) {
        if (anchor == nullptr) throw std::invalid_argument("ngram_folder: wanted an anchor with the words to count");
        const uint64_t memory = ngram_memory / threads, fingerprint_memory = memory / kFingerprintShare;
        config.measure.ngrams = std::make_shared<SortedRuns>(*ngram_folder, "ngrams", memory - fingerprint_memory);
        config.measure.fingerprints = std::make_shared<SortedRuns>(*ngram_folder, "fingerprints", fingerprint_memory);
    }
    if (!met.is_none()) config.measure.met = fingerprints_met(met, anchor);
    if (words && (anchor == nullptr || !documents)) throw std::invalid_argument("words: wanted an anchor with the words, and documents");
    config.measure.words = words;
    config.measure.columns = documents;
    config.stage = stage_named(stage);
    config.measure.histogram = config.stage == Stage::kHistogram;
    config.text_fields = std::move(text_fields);
    config.id_field = std::move(id_field);
    config.batch_tokens = batch_tokens;
    config.max_types = max_types;
    config.max_record_bytes = max_record_bytes;
    config.max_window_log = max_window_log;
    config.threads = threads;
    if (provenance) config.provenance = provenance_rules(*provenance, paths.size());
    auto scan = std::make_unique<PythonScan>();
    scan->config = config.measure;
    if (profile && (profile->profile().signals != config.measure.signals || profile->profile().histogram.max_types() != max_types))
        throw std::invalid_argument("profile: wanted the scan's own signals and max_types");
    scan->profile = profile;
    std::vector<ScanSource> sources = sources_of(paths, config, begun);
    const bool calls_python = config.measure.encoder || std::any_of(sources.begin(), sources.end(), [](const ScanSource& source) {
        return source.rows != nullptr;
    });
    const GilRelease release;
    scan->scan = std::make_shared<Scan>(std::move(sources), std::move(config), profile ? profile->shared() : nullptr);
    if (calls_python) calling_scans().add(scan->scan);
    return scan;
}

py::dict progress(PythonScan& self) {
    const ScanProgress progress = self.scan->progress();
    py::dict dict;
    dict["bytes_compressed"] = progress.bytes_compressed;
    dict["bytes"] = progress.bytes;
    dict["documents"] = progress.documents;
    dict["files"] = progress.files;
    return dict;
}

}  // namespace

void register_scan(py::module_& module) {
    py::module_::import("atexit").attr("register")(py::cpp_function([] { calling_scans().stop(); }));
    py::class_<PythonScan>(module, "Scan")
        .def(py::init(&start), py::arg("paths"), py::kw_only(), py::arg("signals"), py::arg("tokens") = "word",
             py::arg("text_fields") = std::vector<FieldPath>{{"text"}}, py::arg("id_field") = FieldPath{"id"},
             py::arg("markers") = std::vector<std::vector<std::string>>{}, py::arg("anchor") = py::none(),
             py::arg("detector") = py::none(),
             py::arg("ngram_folder") = py::none(), py::arg("ngram_memory") = uint64_t{1} << 30, py::arg("met") = py::none(), py::arg("words") = false,
             py::arg("batch_tokens") = uint64_t{1} << 20,
             py::arg("max_types") = uint64_t{1} << 24, py::arg("max_record_bytes") = uint64_t{64} << 20,
             py::arg("max_window_log") = 27, py::arg("threads") = 1u, py::arg("documents") = true,
             py::arg("stage") = "histogram", py::arg("provenance") = py::none(), py::arg("encoder") = py::none(),
             py::arg("begun") = py::dict(), py::arg("profile") = py::none(), py::keep_alive<1, 8>(),
             py::keep_alive<1, 12>())
        .def("next", &PythonScan::next, py::arg("timeout") = -1.0)
        .def("progress", &progress)
        .def("pause", [](PythonScan& self) { self.scan->pause(); })
        .def("is_paused", [](PythonScan& self) { return self.scan->is_paused(); })
        .def("states", [](PythonScan& self) {
            py::dict states;
            for (const auto& [index, state] : self.scan->states()) states[py::int_(index)] = to_dict(state);
            return states;
        })
        .def("resume", [](PythonScan& self) {
            if (self.profile) self.profile->change();
            self.scan->resume();
        })
        .def("cancel", [](PythonScan& self) { self.scan->cancel(); })
        .def("profile", [](PythonScan& self) {
            const std::shared_ptr<Profile> profile = self.scan->profile();
            if (!self.profile) self.profile = std::make_shared<ProfileState>(profile);
            return self.profile;
        });
}

}  // namespace textassay::bindings
