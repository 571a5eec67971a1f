import MachineAPI

/// What the output of a build that failed says about why.
struct BuildDiagnosis {
    /// The package that was asked for, in its normal form; nil for a list of requirements.
    var package: String?
    /// The image's Python, as in `3.11`.
    var python: String
    var index: IndexConfiguration
    /// What the operator narrowed the resolution by.
    var constraints: [String] = []

    /// Exit codes of the build script, by phase.
    enum Phase: Int {
        case resolve = 20
        case install = 21
        case fetch = 22
        case compile = 23
    }

    func failure(of result: BuildJobResult) -> ImageBuildFailure {
        var failure = cause(of: result)
        if failure.log == nil { failure.log = Self.tail(result.log) }
        return failure
    }

    private func cause(of result: BuildJobResult) -> ImageBuildFailure {
        // The resolver wraps its sentences.
        let log = result.log.split(whereSeparator: \.isWhitespace).joined(separator: " ")
        if result.timedOut {
            return ImageBuildFailure(
                error: "timeout", message: "The build took too long.",
                hint: "Try again; a slow index or a package that is built from source may be the reason.")
        }
        if result.outOfMemory {
            return ImageBuildFailure(
                error: "out_of_memory", message: "The build used up its memory.",
                hint: "A package is built from source; choose versions for which the index has wheels.")
        }
        if log.contains(JobRunner.outputTooLarge) {
            return ImageBuildFailure(
                error: "image_too_large", message: "The build wrote more than an image may hold.",
                hint: "Choose a smaller package, or raise the bound: berth up --image-limit MIB.")
        }
        if log.contains("No space left on device") || log.contains("Disk quota exceeded") || log.contains("os error 28") {
            return ImageBuildFailure(error: "disk_full", message: "The disk of the state directory is full.", hint: "Free some space on it.")
        }
        // A package's own build that ran may print anything, an error of the network too.
        let backend = log.contains("Build backend failed") || log.contains("Call to `") ? source(log) : nil
        return missing(log) ?? python(log) ?? constraint(log) ?? version(log) ?? backend ?? network(log, result)
            ?? source(log) ?? conflict(log) ?? unknown(result)
    }

    private func missing(_ log: String) -> ImageBuildFailure? {
        guard let name = Self.word(before: " was not found in the package registry", in: log) else { return nil }
        let isRoot = package == nil || Requirement.normalized(name) == package
        return ImageBuildFailure(
            error: "unknown_package",
            message: isRoot ? "The package index has no package \(name)." : "\(package ?? "") needs \(name), which the package index does not have.",
            hint: isRoot ? "Check the spelling." : nil)
    }

    private func python(_ log: String) -> ImageBuildFailure? {
        guard let range = log.firstRange(of: "does not satisfy Python") else { return nil }
        // "… does not satisfy Python>=3.12 and numpy==2.5.0 depends on Python>=3.12, we can conclude that …"
        let wanted = log[range.upperBound...].prefix { $0 != " " }.drop { $0 == "," }
        let subject =
            Self.word(before: " depends on Python", in: String(log[range.upperBound...]))
            ?? Self.word(before: " depend on Python", in: String(log[range.upperBound...]))
        return ImageBuildFailure(
            error: "requires_python",
            message: "\(subject ?? package ?? "A package") needs Python \(wanted.trimmingSuffix(",")) by its requires-python, and images have Python \(python).",
            hint: "Choose a version whose requires-python allows \(python), or give an image with a Python of its own: --oci.")
    }

    /// The package is there, and what narrows it leaves nothing.
    private func constraint(_ log: String) -> ImageBuildFailure? {
        guard !constraints.isEmpty, log.contains("No solution found") else { return nil }
        let names = Set(constraints.map { Requirement.normalized(String($0.prefix { $0.isLetter || $0.isNumber || "-_.".contains($0) })) })
        guard let culprit = names.sorted().first(where: { log.contains("you require \($0)") || log.contains("depends on \($0)") }) else { return nil }
        let given = constraints.filter { Requirement.normalized($0).hasPrefix(culprit) }.map { "'\($0)'" }.joined(separator: " and ")
        return ImageBuildFailure(
            error: "no_solution", message: "Nothing satisfies --constraint \(given) together with \(package ?? "the requirements").",
            hint: "Loosen the constraint; the log above says which versions there are.")
    }

    private func version(_ log: String) -> ImageBuildFailure? {
        let name: String
        if let pinned = Self.word(after: "there is no version of ", in: log) {
            name = pinned
        } else if let range = Self.word(before: " is available and you require", in: log), package != nil {
            return ImageBuildFailure(
                error: "unknown_version", message: "The package index has only \(range).", hint: package.map { "Choose another version\(page($0))." })
        } else if let package,
            log.contains("there are no versions of \(package)") || log.contains("only the following versions of \(package) are available")
        {
            name = package
        } else {
            return nil
        }
        let bare = name.prefix { $0 != "=" && $0 != "<" && $0 != ">" && $0 != "~" && $0 != "!" }
        return ImageBuildFailure(
            error: "unknown_version", message: "The package index has no \(name.trimmingSuffix(",")).", hint: "Choose another version\(page(bare)).")
    }

    private func network(_ log: String, _ result: BuildJobResult) -> ImageBuildFailure? {
        let signs = [
            "Failed to fetch:", "error sending request", "tunnel error", "dns error", "client error (Connect)", "operation timed out",
            "Connection refused", "Connection reset", "Tunnel connection failed", "Name or service not known", "Temporary failure in name resolution",
            "CERTIFICATE_VERIFY_FAILED", "invalid peer certificate", "urlopen error",
        ]
        guard signs.contains(where: { log.contains($0) }) else { return nil }
        let isTrust = log.contains("CERTIFICATE_VERIFY_FAILED") || log.contains("invalid peer certificate")
        return ImageBuildFailure(
            error: "network",
            message: isTrust ? "The package index showed a certificate that this host does not trust." : "The package index could not be reached.",
            hint: "Builds reach \(index.egress.joined(separator: " and ")) and nothing else; check that this host reaches them too.")
    }

    private func source(_ log: String) -> ImageBuildFailure? {
        if let name = Self.word(before: " has no wheels with a matching", in: log) {
            return ImageBuildFailure(
                error: "no_wheel", message: "\(name) has no wheel for Python \(python) on Linux.",
                hint: "Choose a version with a wheel for this platform.")
        }
        let signs = ["Failed to build ", "Failed to download and build ", "Failed to prepare ", "Build backend failed", "Call to `"]
        guard let sign = signs.first(where: { log.contains($0) }) else { return nil }
        let name = Self.word(after: sign, in: log).map { $0.filter { $0 != "`" } }
        return ImageBuildFailure(
            error: "build_failed", message: "\(name ?? "A package") could not be built from source.",
            hint: "Build machines hold no compiler; choose a version for which the index has a wheel.")
    }

    private func conflict(_ log: String) -> ImageBuildFailure? {
        if log.contains("Couldn't parse requirement") {
            let text = log.firstRange(of: "Couldn't parse requirement").map { log[$0.upperBound...].prefix(160) } ?? ""
            return ImageBuildFailure(
                error: "bad_source", message: "A requirement or constraint cannot be read\(text.isEmpty ? "" : ":\(text)")",
                hint: "Write it as in 'mcp<2', in --constraint or in the --requirements file.")
        }
        guard log.contains("No solution found") else { return nil }
        return ImageBuildFailure(
            error: "no_solution", message: "No set of versions satisfies these requirements.",
            hint: "Loosen a constraint; the log says which ones exclude each other.")
    }

    private func unknown(_ result: BuildJobResult) -> ImageBuildFailure {
        let phase =
            switch Phase(rawValue: result.exitCode) {
            case .resolve: "while versions were chosen"
            case .install: "while packages were installed"
            case .fetch: "while build tools were fetched"
            case .compile: "while modules were compiled"
            case nil: "with exit code \(result.exitCode)"
            }
        return ImageBuildFailure(error: "build_failed", message: "The build failed \(phase).", hint: "The log above tells more.")
    }

    private func page(_ name: some StringProtocol) -> String {
        index == .pypi ? ": https://pypi.org/project/\(name)/#history" : " of \(name)"
    }

    /// The word that ends where `phrase` begins.
    private static func word(before phrase: String, in text: String) -> String? {
        guard let range = text.firstRange(of: phrase) else { return nil }
        let word = text[..<range.lowerBound].reversed().prefix { $0 != " " }.reversed()
        return word.isEmpty ? nil : String(String(word).prefix(200))
    }

    private static func word(after phrase: String, in text: String) -> String? {
        guard let range = text.firstRange(of: phrase) else { return nil }
        let word = text[range.upperBound...].prefix { $0 != " " }
        return word.isEmpty ? nil : String(word.prefix(200))
    }

    /// The end of an output, for people: no control characters, at most 4 KiB.
    static func tail(_ log: String) -> String? {
        let clean = String(decoding: Array(log.utf8.suffix(4096)), as: UTF8.self).unicodeScalars.filter {
            $0 == "\n" || ($0.value >= 0x20 && $0.value != 0x7F)
        }
        let text = String(String.UnicodeScalarView(clean)).trimmingBlanks
        return text.isEmpty ? nil : text
    }
}

extension StringProtocol {
    fileprivate func trimmingSuffix(_ suffix: String) -> String { hasSuffix(suffix) ? String(dropLast(suffix.count)) : String(self) }
}
