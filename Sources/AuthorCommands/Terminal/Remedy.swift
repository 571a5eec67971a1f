/// Remedies for servers that cannot be reached or refuse. They name the commands of a Berth only where the program has them.
enum Remedy {
    private static var isBerth: Bool { Program.root.administersBerth }

    /// Nothing is there.
    static var url: String { (isBerth ? "berth status has the URL; " : "") + "\(Program.name) bridge prints " + (isBerth ? "its own" : "the URL") }
    /// An URL that is none.
    static var urls: String { isBerth ? "berth vmcp list prints them" : "\(Program.name) bridge prints them" }
    /// Nothing is below the URL.
    static var missing: String {
        (isBerth ? "berth vmcp list has the URLs, berth token list what a token opens; " : "") + "the URL of a bridge ends in /mcp"
    }
    /// Behind what a token does not open.
    static var tokens: String { isBerth ? ": berth token list" : "" }
    /// What a file or a variable with a token has to hold.
    static var token: String { isBerth ? "one line, as berth token create prints it" : "one line, without blanks" }
    /// Behind what became of a call.
    static var logs: String { isBerth ? "; berth logs NAME shows what a hosted server said" : "" }
}
