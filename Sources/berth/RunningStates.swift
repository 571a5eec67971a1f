import ArgumentParser
import AuthorCommands
import Glibc
import StdioBridge

/// A Berth that runs on this host, as its supervisor's command line tells.
struct RunningState {
    /// Its state directory.
    var state: String
    /// `address:port`
    var listen: String
    /// Bytes that must be free before anything is built.
    var buildRoom: Int

    /// All that root started; whoever asks may be looking in the wrong state.
    static func all() -> [RunningState] {
        (directoryNames("/proc") ?? []).compactMap { pid in
            var info = stat()
            guard pid.allSatisfy(\.isNumber), stat("/proc/\(pid)", &info) == 0, info.st_uid == 0 else { return nil }
            let words = String(decoding: readFile("/proc/\(pid)/cmdline") ?? [], as: UTF8.self).split(separator: "\0").map(String.init)
            // Its command line: `berth supervise` and the settings.
            guard words.count > 2, words[1] == "supervise", let settings = try? UpSettings.parse(Array(words.dropFirst(2))),
                let state = settings.state.state
            else { return nil }
            return RunningState(state: state, listen: settings.listen, buildRoom: settings.buildRoom << 20)
        }
    }

    /// - Throws: whose port it is, where it is another Berth's.
    static func refuse(host: String, port: Int) throws {
        guard let other = all().first(where: { PortCheck.isTaken(host: host, port: port, by: $0.listen) }) else { return }
        throw Failure(
            "port \(port) is in use by the Berth of the state \(other.state)",
            hint: "its commands take --state \(other.state) (make: STATE=); or choose another port with --listen 127.0.0.1:PORT")
    }

    /// What to add to a command that looked elsewhere, for example `a Berth runs with --state /x`; nil where none runs.
    static func hint(besides installation: Installation) -> String? {
        let options = all().map(\.state).filter { $0 != installation.state }.map { "--state \($0)" }
        guard let first = options.first else { return nil }
        return options.count == 1 ? "a Berth runs with \(first)" : "Berths run with " + options.joined(separator: ", ")
    }
}
