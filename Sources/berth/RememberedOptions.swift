import ArgumentParser
import AuthorCommands
import Glibc

/// The options of the last `berth up` of a state, but for where it listens (``Installation/lastListen``): a file beside it, an option and its
/// value in each line, root's alone.
struct RememberedOptions {
    static let name = "options"
    private static let limit = 64 << 10

    private let path: String

    init(_ state: String) { path = state + "/" + Self.name }

    /// The settings with what was given last time and is not given now, and those options.
    ///
    /// - Throws: where the file is not as this version writes it.
    func complete(_ settings: UpSettings) throws -> (settings: UpSettings, added: [String]) {
        guard let bytes = readFile(path), !bytes.isEmpty else { return (settings, []) }
        let given = Set(settings.lasting.map(\.name))
        var added: [String] = []
        for line in String(decoding: bytes.prefix(Self.limit), as: UTF8.self).split(separator: "\n") {
            guard let blank = line.firstIndex(of: " "), line.hasPrefix("--") else { throw unreadable }
            let option = String(line[..<blank])
            if !given.contains(option) { added += [option, String(line[line.index(after: blank)...])] }
        }
        guard !added.isEmpty else { return (settings, []) }
        guard var complete = try? UpSettings.parse(settings.arguments() + added) else { throw unreadable }
        complete.state = settings.state
        complete.givenListen = settings.givenListen
        return (complete, added)
    }

    func save(_ settings: UpSettings) throws {
        let text = settings.lasting.map { "\($0.name) \($0.value)\n" }.joined()
        let new = path + ".new"
        let descriptor = open(new, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard descriptor >= 0 else { throw Failure("\(new) cannot be written: \(String(cString: strerror(errno)))") }
        let bytes = Array(text.utf8)
        let isWritten = write(descriptor, bytes, bytes.count) == bytes.count && fsync(descriptor) == 0
        close(descriptor)
        guard isWritten, rename(new, path) == 0 else {
            unlink(new)
            throw Failure("\(path) cannot be written", hint: "look at its disk")
        }
    }

    private var unreadable: Failure {
        Failure("\(path) cannot be read: it has options that this version does not know", hint: "berth up --defaults, with the options that you want")
    }
}
