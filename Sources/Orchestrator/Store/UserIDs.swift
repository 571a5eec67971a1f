/// Host user ids of the machines of one installation.
enum UserIDs {
    static let slotsPerInstallation = 4_096
    private static let installations = 15

    /// The first slot of an installation: two of them on one host seldom share ranges.
    ///
    /// - Parameter key: the hex digits that name the installation.
    static func firstSlot(_ key: String) -> Int {
        let number = key.utf8.reduce(UInt64(14_695_981_039_346_656_037)) { ($0 ^ UInt64($1)) &* 1_099_511_628_211 }
        return Int(number % UInt64(installations)) * slotsPerInstallation
    }

    /// All slots of an installation.
    static func slots(_ key: String) -> Range<Int> { firstSlot(key)..<firstSlot(key) + slotsPerInstallation }
}
