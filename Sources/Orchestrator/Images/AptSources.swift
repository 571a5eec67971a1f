/// The distribution's own entries among the package sources of this host.
///
/// A base system is made from the mirrors that the administrator chose, but not from third parties' repositories: only
/// suites of the release itself, component `main`.
struct AptSources: Equatable, Sendable {
    /// `(file name, content)` of `/etc/apt/sources.list` and what is in `sources.list.d`.
    static func select(from files: [(name: String, text: String)], release: String) -> AptSources {
        var sources = AptSources(lines: [], stanzas: [])
        let suites: Set<String> = [release, "\(release)-updates", "\(release)-security"]
        for file in files {
            if file.name.hasSuffix(".sources") {
                for stanza in stanzas(file.text) {
                    guard let kept = select(stanza: stanza, suites: suites), !sources.stanzas.contains(kept) else { continue }
                    sources.stanzas.append(kept)
                }
            } else if file.name.hasSuffix(".list") {
                for line in file.text.split(whereSeparator: \.isNewline) {
                    guard let kept = select(line: line.trimmingBlanks, suites: suites), !sources.lines.contains(kept) else { continue }
                    sources.lines.append(kept)
                }
            }
        }
        return sources
    }

    /// One-line entries.
    private(set) var lines: [String]
    /// Entries in the format of Debian control files.
    private(set) var stanzas: [String]

    var isEmpty: Bool { lines.isEmpty && stanzas.isEmpty }

    private static func select(line: String, suites: Set<String>) -> String? {
        var words = line.split(whereSeparator: { $0 == " " || $0 == "\t" }).map(String.init)
        guard words.first == "deb" else { return nil }
        words.removeFirst()
        var options: [String] = []
        if let first = words.first, first.hasPrefix("[") {
            guard let end = words.firstIndex(where: { $0.hasSuffix("]") }) else { return nil }
            options = Array(words[...end])
            words.removeFirst(end + 1)
        }
        guard words.count >= 3, suites.contains(words[1]), words[2...].contains("main") else { return nil }
        return (["deb"] + options + [words[0], words[1], "main"]).joined(separator: " ")
    }

    private static func stanzas(_ text: String) -> [[String]] {
        var stanzas: [[String]] = [[]]
        for line in text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline) {
            if line.trimmingBlanks.isEmpty {
                stanzas.append([])
            } else if !line.hasPrefix("#") {
                stanzas[stanzas.count - 1].append(String(line))
            }
        }
        return stanzas.filter { !$0.isEmpty }
    }

    private static func select(stanza: [String], suites: Set<String>) -> String? {
        func words(_ field: String) -> [String] {
            for line in stanza {
                let parts = line.split(separator: ":", maxSplits: 1)
                guard parts.count == 2, parts[0].lowercased() == field else { continue }
                return parts[1].split(whereSeparator: { $0 == " " || $0 == "\t" }).map(String.init)
            }
            return []
        }
        let wanted = words("suites").filter { suites.contains($0) }
        guard words("types").contains("deb"), words("enabled").first != "no", words("components").contains("main"), !wanted.isEmpty else {
            return nil
        }
        var kept: [String] = []
        for line in stanza {
            switch line.prefix(while: { $0 != ":" }).lowercased() {
            case "types": kept.append("Types: deb")
            case "suites": kept.append("Suites: " + wanted.joined(separator: " "))
            case "components": kept.append("Components: main")
            default: kept.append(line)
            }
        }
        return kept.joined(separator: "\n") + "\n"
    }
}
