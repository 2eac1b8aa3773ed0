"""Between an emulated device and its host: ptys, serial ports, TCP and brokers, and what goes wrong on them."""
