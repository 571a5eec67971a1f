/// Machine ids: 14 hex digits, Fly's form.
enum MachineID {
    static func random() -> String {
        let digits = String(UInt64.random(in: 0..<1 << 56), radix: 16)
        return String(repeating: "0", count: 14 - digits.utf8.count) + digits
    }
}
