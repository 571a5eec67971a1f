/// What looks like a secret, and what certainly is none. In doubt a variable is a secret, and a word of a command line is not: the first
/// costs nothing, and the second is the server's own vocabulary.
enum Looks {
    /// A name that sounds like a secret's, of a variable or an option.
    static func isSecretName(_ name: some StringProtocol) -> Bool {
        let upper = name.uppercased().map { $0 == "-" ? "_" : $0 }
        let text = String(upper)
        // Of a secret, and none: MAX_TOKENS, AUTH_TYPE, TOKEN_LIMIT, NO_AUTH.
        if text.hasSuffix("TOKENS") || harmlessEndings.contains(where: { text.hasSuffix($0) }) || text.hasPrefix("NO_") { return false }
        return [
            "TOKEN", "APIKEY", "API_KEY", "ACCESS_KEY", "SECRET", "PASSWORD", "PASSWD", "PASSPHRASE", "CREDENTIAL", "PRIVATE_KEY", "BEARER", "AUTH",
            "COOKIE", "DSN",
        ]
        .contains { text.contains($0) } || text.hasSuffix("_KEY") || text == "KEY" || text.hasSuffix("_PAT") || text == "PAT"
            || text.hasSuffix("_PWD") || text == "PASS" || text.hasSuffix("_PASS")
    }

    private static let harmlessEndings = ["_LIMIT", "_TYPE", "_MODE", "_LEVEL", "_TIMEOUT", "_TTL", "_METHOD", "_SCHEME"]

    private static let beginnings = [
        "sk-", "sk_", "pk_", "rk_", "ghp_", "gho_", "ghs_", "ghu_", "github_pat_", "glpat-", "xoxb-", "xoxp-", "xapp-", "AKIA", "ASIA", "AIza", "hf_",
        "npm_", "pypi-", "eyJ", "shpat_", "dop_v1_", "SG.", "ntn_", "secret_", "lin_api_", "tvly-", "figd_", "-----BEGIN", "Bearer ", "Basic ",
    ]

    /// A value that is a secret by its own shape, whatever it is called.
    static func isSecretValue(_ value: some StringProtocol) -> Bool {
        let text = String(value)
        if beginnings.contains(where: { text.hasPrefix($0) && text.utf8.count >= $0.utf8.count + 8 }) { return true }
        if let address = WebAddress(text, schemes: []) { return address.hasPassword || isTelling(address.rest) }
        // A header's line, as remote clients are given it.
        if let colon = text.firstIndex(of: ":"), isSecretName(text[..<colon]), text.utf8.count > text[...colon].utf8.count + 3 { return true }
        return holdsPair(text) || isRandom(text)
    }

    /// `Server=db;Uid=sa;Pwd=…`, `{"apiKey": "…"}`: a list of names and values of which one is a secret's.
    private static func holdsPair(_ text: String) -> Bool {
        guard text.utf8.count <= 64 << 10, text.contains(where: { ";{".contains($0) }) else { return false }
        return text.split(whereSeparator: { ";,{}\n".contains($0) }).contains { part in
            guard let mark = part.firstIndex(where: { "=:".contains($0) }) else { return false }
            let name = part[..<mark].filter { !"\"' ".contains($0) }
            let value = part[part.index(after: mark)...].filter { !"\"' ".contains($0) }
            // `apiKey` is API_KEY.
            let words = name.reduce(into: "") { $0 += ($1.isUppercase && $0.last?.isLowercase == true ? "_" : "") + String($1) }
            return name.utf8.count <= 64 && (isSecretName(words) || name.lowercased() == "pwd") && !isPlainWord(value)
        }
    }

    /// A name of something (a package, an image) in which a token stands: a long run of letters and digits that is no hash.
    static func holdsToken(_ text: some StringProtocol) -> Bool {
        text.split(whereSeparator: { !($0.isASCII && ($0.isLetter || $0.isNumber || "-_".contains($0))) }).contains { part in
            beginnings.contains { part.hasPrefix($0) && isRandom(String(part)) }
                || part.split(whereSeparator: { "-_".contains($0) }).contains { run in
                    isRandom(String(run)) && !run.allSatisfy(\.isHexDigit)
                }
        }
    }

    /// What a refusal may show of a text that was meant to be a program, a file, a package: its first word, where that is no secret.
    static func brief(_ text: some StringProtocol, _ limit: Int) -> String {
        let word = text.prefix { !$0.isWhitespace }
        if holdsToken(word) || isSecretValue(word) { return "…" }
        return word.prefix(limit) + (word.endIndex == text.endIndex ? "" : " …")
    }

    /// A path or query that holds more than a place.
    private static func isTelling(_ rest: String) -> Bool {
        if rest.contains("?"), rest.split(separator: "?", maxSplits: 1).last?.contains("=") == true {
            let query = rest.split(separator: "?", maxSplits: 1).last ?? ""
            if query.split(separator: "&").contains(where: { isSecretName($0.prefix { $0 != "=" }) }) { return true }
        }
        return rest.split(whereSeparator: { "/?&=#".contains($0) }).contains { isRandom(String($0)) }
    }

    /// One word of letters and digits mixed, long enough that nobody made it up; or a UUID.
    private static func isRandom(_ text: String) -> Bool {
        guard (16...4_096).contains(text.utf8.count), !text.contains(where: { " ,;:(){}<>\\$".contains($0) }), !text.hasPrefix("/"),
            !text.hasPrefix(".")
        else {
            return false
        }
        let parts = text.split(separator: "-", omittingEmptySubsequences: false)
        if parts.map(\.utf8.count) == [8, 4, 4, 4, 12], parts.allSatisfy({ $0.allSatisfy(\.isHexDigit) }) { return true }
        return text.split(whereSeparator: { "-._/@".contains($0) }).contains { run in
            let digits = run.utf8.count { (0x30...0x39).contains($0) }
            let letters = run.utf8.count { (0x61...0x7A).contains($0 | 0x20) }
            return run.utf8.count >= 16 && digits >= 2 && letters >= 4
        }
    }

    private static let words: Set<String> = [
        "true", "false", "yes", "no", "on", "off", "debug", "info", "warn", "warning", "error", "critical", "trace", "notice", "none", "auto",
        "production", "development", "staging", "test", "local", "stdio", "sse", "http", "streamable-http", "utf-8", "c.utf-8", "json", "text",
        "readonly", "read-only", "bearer", "basic", "oauth", "oauth2", "api-key", "token",
    ]
    private static let plainEndings = [
        "_LEVEL", "_REGION", "_TIMEOUT", "_PORT", "_MODE", "_ENV", "_LOCALE", "_LANG", "_TZ", "_TIMEZONE", "_VERSION", "_MODEL", "_FORMAT",
        "_TRANSPORT",
        "_DIR", "_PATH", "_HOME",
    ]
    private static let plainNames: Set<String> = [
        "LOG_LEVEL", "NODE_ENV", "TZ", "LANG", "LC_ALL", "PORT", "HOME", "PATH", "PYTHONUNBUFFERED", "PYTHONPATH", "PYTHONIOENCODING", "NO_COLOR",
        "DEBUG",
        "USER",
    ]

    /// A variable that is certainly no secret: it is shown, and may stand in results without being masked.
    static func isPlain(_ name: String, _ value: String) -> Bool {
        if value.isEmpty { return true }
        if isSecretName(name) || isSecretValue(value) { return false }
        if isPlainWord(value) { return true }
        let upper = name.uppercased()
        return value.utf8.count <= 1_024 && (plainNames.contains(upper) || plainEndings.contains { upper.hasSuffix($0) })
    }

    /// A word, small number, path or address that is nobody's secret.
    static func isPlainWord(_ value: String) -> Bool {
        if value.isEmpty || words.contains(value.lowercased()) { return true }
        if value.utf8.count <= 6, value.utf8.allSatisfy({ (0x30...0x39).contains($0) || $0 == 0x2E }) { return true }
        if isSecretValue(value) { return false }
        if let address = WebAddress(value) { return !address.rest.contains("?") && !address.rest.contains("#") }
        return value.hasPrefix("/") && value.utf8.count <= 1_024
    }

    /// What documentation has where a value belongs.
    static func isExample(_ value: String) -> Bool {
        let lower = value.lowercased()
        return (value.hasPrefix("<") && value.hasSuffix(">"))
            || (lower.hasPrefix("your") && value.utf8.count <= 64 && !lower.contains(where: \.isNumber))
            || ["xxx", "changeme", "todo", "..."].contains(lower) || lower.hasPrefix("replace_with")
    }
}
