/// `--env`
package enum Variables {
    /// - Parameters:
    ///   - remedy: What to do about a name that sounds like a secret's; `%` stands for it.
    ///   - warn: is told so.
    package static func plain(
        _ pairs: [String], remedy: String = "--env is kept in clear — use --secret %",
        warn: (String) -> Void = { Output.note("warning: " + $0) }
    ) throws -> [String: String] {
        var result: [String: String] = [:]
        for pair in pairs {
            guard let equals = pair.firstIndex(of: "="), equals != pair.startIndex else {
                throw Failure("--env '\(pair.prefix(64))' is not of the form NAME=VALUE", hint: "for example --env LOG_LEVEL=info", code: 64)
            }
            let name = String(pair[..<equals])
            if soundsSecret(name) {
                let remedy = remedy.split(separator: "%", omittingEmptySubsequences: false).joined(separator: name)
                warn("\(name) sounds like a secret and \(remedy)")
            }
            guard result[name] == nil else { throw Failure("--env \(name) is given twice", hint: "give it once", code: 64) }
            result[name] = String(pair[pair.index(after: equals)...])
        }
        return result
    }

    static func soundsSecret(_ name: String) -> Bool {
        let upper = name.uppercased()
        return ["TOKEN", "KEY", "PASSWORD", "PASSWD", "SECRET", "CREDENTIAL", "_PAT", "AUTH", "DSN"].contains { upper.contains($0) }
    }
}
