import MachineAPI

/// When a release is asked about before it is built.
struct ReleaseRules: Sendable {
    /// 72 hours, within which most poisoned releases were found and taken back.
    static let standardAge = 72 * 3_600

    /// Seconds since its publication after which nobody is asked for its age; 0: never.
    var age = Self.standardAge
    var known = KnownServers.standard

    /// - Parameter report: its age in it.
    func doubts(_ report: ReleaseReport) -> [ReleaseReport.Doubt] {
        (report.kind == .oci ? [] : ageDoubt(report.age)) + nameDoubt(report)
    }

    private func ageDoubt(_ seconds: Int?) -> [ReleaseReport.Doubt] {
        guard age > 0 else { return [] }
        guard let seconds else { return [.init(.ageUnknown, "the index does not say when it was published")] }
        // Clocks differ by a little.
        guard seconds >= -300 else { return [.init(.ageUnknown, "the index says that it was published in the future")] }
        guard seconds < age else { return [] }
        return [.init(.young, "it was published \(ReleaseAge.text(max(seconds, 0))) ago, less than \(ReleaseAge.text(age))")]
    }

    private func nameDoubt(_ report: ReleaseReport) -> [ReleaseReport.Doubt] {
        known.resembled(by: report.name, report.kind).map { known in
            let text = known == report.name.lowercased() ? "\(known) is known of another kind than \(report.kind.rawValue)" : "its name is almost that of \(known)"
            return [.init(.resembles, text)]
        } ?? []
    }
}

/// How old a release is, in words.
public enum ReleaseAge {
    /// `3 hours`: whole ones; days from four on, since a limit is mostly given in hours.
    public static func text(_ seconds: Int) -> String {
        for (unit, name) in [(86_400, "day"), (3_600, "hour"), (60, "minute")] where seconds >= unit && (unit < 86_400 || seconds >= 4 * unit) {
            return "\(seconds / unit) \(name)\(seconds / unit == 1 ? "" : "s")"
        }
        return seconds == 1 ? "1 second" : "\(seconds) seconds"
    }
}

/// Lets a build go on once somebody has said yes to what is doubtful about it.
struct ReleaseGate: Sendable {
    var rules: ReleaseRules
    /// ``ReleaseReport/accept`` of what somebody has said yes to.
    var accepted: Set<String>
    var tell: @Sendable (ReleaseReport) -> Void

    /// Tells of every release, before anything of it is installed or run.
    ///
    /// - Throws: `unconfirmed`, with what is to be accepted.
    func pass(_ releases: [ReleaseReport]) throws(ImageBuildFailure) {
        for release in releases { tell(release) }
        let doubtful = releases.filter { !$0.doubts.isEmpty && !accepted.contains($0.accept) }
        guard !doubtful.isEmpty else { return }
        let sentences = doubtful.map { release in
            "\(release.name)\(release.version.map { " " + $0 } ?? ""): \(release.doubts.map(\.text).joined(separator: ", and "))."
        }
        let accept = doubtful.map(\.accept)
        var failure = ImageBuildFailure(
            error: "unconfirmed", message: "Nobody has said yes to \(sentences.joined(separator: " "))",
            hint: "Look at it first; \(accept.map { "--accept \($0)" }.joined(separator: " ")) takes it as it is.")
        failure.accept = accept
        throw failure
    }
}
