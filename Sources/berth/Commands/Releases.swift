import ArgumentParser
import AuthorCommands
import Glibc
import JSONText
import Orchestrator

/// What somebody says yes to beforehand.
struct AcceptOption: ParsableArguments {
    @Option(
        parsing: .singleValue,
        help: ArgumentHelp(
            "Take this release although it is young, or named almost like a well-known server: NAME==VERSION, or NAME@VERSION of npm (repeatable). Without it a terminal is asked.",
            valueName: "release"))
    var accept: [String] = []

    var json: JSONValue? { accept.isEmpty ? Optional<JSONValue>.none : .strings(accept) }
}

/// What the index tells of a release, for people: everything in it is somebody else's word.
struct ReleaseText {
    let release: JSONValue

    var lines: [String] {
        var lines = [row("Release", title)]
        lines.append(row("Published", published))
        if release["kind"] != "oci" {
            let publishers = strings("publishers")
            lines.append(row("Publisher", publishers.isEmpty ? "unknown: the index does not tell" : publishers.joined(separator: ", ")))
            lines.append(row("Author", (release["author"]?.stringValue).map { $0 + " (as the package says)" } ?? "unknown"))
            lines.append(row("Brings", release["dependencies"]?.intValue.map { Count.text($0, "other package") } ?? Self.unknownNumber(release)))
        } else {
            lines.append(row("Digest", release.cell("digest")))
        }
        lines.append(row("Size", release["bytes"]?.intValue.map { Bytes.text($0) + (release["kind"] == "oci" ? " packed" : " without what it brings") } ?? "unknown"))
        lines += doubts.map { row("Caution", $0) }
        return lines.map(Printable.line)
    }

    var doubts: [String] { (release["doubts"]?.arrayValue ?? []).map { $0.cell("text") } }

    private var title: String {
        let version = release["version"]?.stringValue.map { " " + $0 } ?? ""
        return release.cell("name") + version + (release["exact"]?.boolValue == false ? " or older: it has no wheel, and the build chooses" : "")
    }

    private var published: String {
        guard let time = release["published_at"]?.intValue else { return "unknown" }
        let age = release["age"]?.intValue ?? 0
        return Time.text(milliseconds: time * 1_000) + (age < 0 ? "" : ", \(ReleaseAge.text(age)) ago")
            + (release["kind"] == "oci" ? " (as the image says)" : "")
    }

    private static func unknownNumber(_ release: JSONValue) -> String {
        release["exact"]?.boolValue == false ? "known after the build" : "counted with the package it belongs to"
    }

    private func strings(_ key: String) -> [String] { (release[key]?.arrayValue ?? []).compactMap(\.stringValue) }

    private func row(_ title: String, _ text: String) -> String { "  " + title.padded(to: 11) + text }
}
