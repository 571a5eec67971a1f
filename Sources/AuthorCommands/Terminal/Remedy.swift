/// The remedy for a server that was said to speak what it does not.
enum EraRemedy {
    static func text(_ reason: String) -> String? {
        reason.contains("does not speak 2026-07-28") ? "--era auto asks a server what it speaks, --era legacy is for those before 2026-07-28" : nil
    }
}

/// Remedies for servers that cannot be reached or refuse. They name the commands of a Berth only where the program has them.
enum Remedy {
    private static var isBerth: Bool { Program.root.administersBerth }

    /// Nothing is there.
    static var url: String { (isBerth ? "berth status has the URL; " : "") + "\(Program.name) bridge prints " + (isBerth ? "its own" : "the URL") }
    /// An URL that is none.
    static var urls: String { isBerth ? "berth vmcp list prints them" : "\(Program.name) bridge prints them" }
    /// Nothing is below the URL.
    static var missing: String {
        (isBerth ? "berth vmcp list has the URLs, berth token list what a token opens; " : "")
            + "the URL of a bridge ends in /mcp, that of a server of 2024-11-05 mostly in /sse"
    }
    /// Behind what a token does not open.
    static var tokens: String { isBerth ? ": berth token list" : "" }
    /// What a file or a variable with a token has to hold.
    static var token: String { isBerth ? "one line, as berth token create prints it" : "one line, without blanks" }
    /// Behind what became of a call.
    static var logs: String { isBerth ? "; berth logs NAME shows what a hosted server said" : "" }
}
