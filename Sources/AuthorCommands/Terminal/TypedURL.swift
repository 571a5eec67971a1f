import Wire

/// A word of the command line that is to be a URL and is none. Nothing here repeats a password that stands in it.
enum TypedURL {
    /// Without what stands before an `@` in its authority.
    static func shown(_ url: String) -> String {
        let start = url.firstRange(of: "://")?.upperBound ?? url.startIndex
        let end = url[start...].firstIndex { $0 == "/" || $0 == "?" || $0 == "#" } ?? url.endIndex
        guard let at = url[start..<end].lastIndex(of: "@") else { return url }
        return url[..<start] + "…" + url[at...]
    }

    /// `http:/host` and `http:host` with the slashes that they lack.
    static func withSlashes(_ word: String) -> String? {
        guard let colon = word.firstIndex(of: ":"), ["http", "https"].contains(word[..<colon].lowercased()) else { return nil }
        let rest = word[word.index(after: colon)...].drop { $0 == "/" }
        return rest.isEmpty ? nil : shown("\(word[...colon])//\(rest)")
    }

    /// What is wrong with one that begins as a URL does.
    static func failure(_ url: String) -> Failure {
        let rest = url.firstRange(of: "://").map { url[$0.upperBound...] } ?? ""
        let authority = rest.prefix { $0 != "/" && $0 != "?" && $0 != "#" }
        if authority.contains("@") {
            return Failure(
                "'\(shown(url))' has a user's name or password in it", hint: "leave it out; a bearer token is given with --token-file", code: 64)
        }
        if authority.isEmpty { return Failure("'\(url)' names no host", hint: "http://HOST:PORT/mcp", code: 64) }
        if let colon = authority.lastIndex(of: ":"), !authority.hasSuffix("]"), Endpoint.split(authority: authority) == nil,
            let head = Endpoint.split(authority: authority[..<colon]), head.port == nil
        {
            return Failure("'\(url)' has no port that there is: \(authority[authority.index(after: colon)...])", hint: "1 to 65535", code: 64)
        }
        return Failure("'\(url)' is no URL", hint: Remedy.urls, code: 64)
    }
}
