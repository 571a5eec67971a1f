import JSONText
import RemoteClient
import StdioBridge

extension RemoteAddress {
    /// What was probably meant by a URL that answers no MCP: with the last word that those of bridges and virtual MCPs have.
    var likelyMeant: String? {
        let own = path.prefix { $0 != "?" }
        var words = own.split(separator: "/").map(String.init)
        switch words.last?.lowercased() {
        case nil: words = ["mcp"]
        case "mcp" where words.last == "mcp" && !own.hasSuffix("/"): return nil
        case .some(let last) where last == "mcp" || last.sorted() == "mcp".sorted() || Nearest.name(to: last, among: ["mcp"]) != nil:
            words[words.count - 1] = "mcp"
        default:
            guard words.count == 2, words[0] == "v" else { return nil }
            words.append("mcp")
        }
        return at("/" + words.joined(separator: "/") + path[own.endIndex...])
    }

    /// The remedy for a URL that answers no MCP: what the bridge there says that it serves, else what was probably meant.
    ///
    /// - Parameter reason: what the server was found to say.
    func remedy(_ reason: String) -> String? {
        let says = "MCP is served at "
        if let start = reason.firstRange(of: says) {
            let paths = reason[start.upperBound...].split(separator: ",").map { $0.drop { $0 == " " } }.filter { $0.hasPrefix("/") }
            // More of them, or a long one, may have been cut.
            if paths.count == 1 { return "did you mean \(at(String(paths[0])))?" }
            if let first = paths.first { return "for example \(at(String(first)))" }
        }
        // Of a bare origin nobody knows which transport is there.
        let older = path.prefix { $0 != "?" } == "/" ? ", or \(at("/sse")) of an older one" : ""
        return likelyMeant.map { "did you mean \($0)\(older)?" }
    }

    private func at(_ path: String) -> String { "\(isSecure ? "https" : "http")://\(authority)\(path)" }
}
